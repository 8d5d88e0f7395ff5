/* nodes.jsx -- is everything here, and if not, who has it? */
import {get} from './api.js';
import {Controls} from './controls.jsx';
import {presetDays} from './days.js';
import {count, moment, number, range, skew} from './format.js';
import {Badge, Footer, Spinner, Staleness} from './parts.jsx';
import {usePolled} from './poll.js';

/* An agent's clock that is off by more than this puts views into the wrong hour often enough to matter. */
const SKEW_MS = 2000;
/* More rows than anybody reads; the export has them all. */
const LEDGER_ROWS = 200;

const REFUSED = ['duplicate', 'bot', 'limited', 'invalid', 'shed'];
const LOST = ['lost', 'udp_dropped'];
const COLUMNS = ['received', 'accepted', ...REFUSED, 'stored', 'merged', ...LOST];

function useNodes(place, onUnauthorized) {
	let base;
	const parts = {
		base: () => (base = get('me').then((me) => ({
			me,
			days: place.range === 'custom' ? {from: place.from, to: place.to} : presetDays(place.range, me.today),
		}))),
		nodes: () => get('nodes'),
		ledger: async () => get('ledger', (await base).days),
	};
	return usePolled(JSON.stringify(['nodes', place.range, place.from, place.to]), parts, onUnauthorized);
}

function NodeRow({n, zone}) {
	return (
		<tr>
			<th scope="row">{n.node}</th>
			<td><Badge verdict={n.verdict} /></td>
			<td class="num">{n.last_seen ? moment(n.last_seen, zone) : 'never'}</td>
			<td class="num">{moment(n.complete_to, zone)}</td>
			<td class="num">{number(n.batches)}</td>
			<td class="num">{number(n.events)}</td>
			<td class={n.lost + n.lost_batches > 0 ? 'num bad' : 'num'}>
				{number(n.lost)}{n.lost_batches > 0 && ` and ${count(n.lost_batches, 'batch', 'batches')}`}
			</td>
			<td class={Math.abs(n.skew_ms) > SKEW_MS ? 'num bad' : 'num'}>{skew(n.skew_ms)}</td>
		</tr>
	);
}

function NodeList({nodes, zone}) {
	return (
		<section class="card" aria-labelledby="nodes-title">
			<h2 id="nodes-title">Nodes</h2>
			{nodes.length === 0 ? (
				<div class="empty">
					<h3>No nodes yet</h3>
					<p>Add one with <code>footfall-central node add NAME</code>, and give its token to the agent there.</p>
				</div>
			) : (
				<div class="scroll" tabIndex={0} role="region" aria-labelledby="nodes-title">
					<table>
						<thead>
							<tr>
								<th scope="col">Node</th>
								<th scope="col">State</th>
								<th scope="col" class="num">Last seen</th>
								<th scope="col" class="num">Complete to</th>
								<th scope="col" class="num">Batches</th>
								<th scope="col" class="num">Events</th>
								<th scope="col" class="num">Lost</th>
								<th scope="col" class="num">Clock</th>
							</tr>
						</thead>
						<tbody>{nodes.map((n) => <NodeRow key={n.node} n={n} zone={zone} />)}</tbody>
					</table>
				</div>
			)}
		</section>
	);
}

/* received = accepted + duplicate + bot + limited + invalid + shed, or the difference. */
function imbalance(row) {
	return REFUSED.reduce((rest, verdict) => rest - (row[verdict] || 0), (row.received || 0) - (row.accepted || 0));
}

/* "complete", "waiting since 14:00", "17 lost". */
function hourState(r, zone) {
	if (r.lost_batches > 0) return `${count(r.lost_batches, 'batch', 'batches')} lost since ${moment(r.since, zone)}`;
	if (r.verdict === 'lost') return `${number(r.lost + r.udp_dropped)} lost`;
	return r.since ? `${r.verdict} since ${moment(r.since, zone)}` : r.verdict;
}

function Balance({totals}) {
	const off = imbalance(totals);
	const waiting = (totals.accepted || 0) - (totals.stored || 0) - (totals.merged || 0);
	if (off !== 0) return <Badge verdict="lost">The books differ by {number(Math.abs(off))}</Badge>;
	return (
		<Badge verdict="complete">
			The books balance{waiting > 0 ? `; ${count(waiting, 'event is', 'events are')} still on the nodes` : ''}
		</Badge>
	);
}

function Ledger({ledger, days, zone}) {
	const rows = ledger.rows || [];
	const totals = ledger.totals || {};
	return (
		<section class="card" aria-labelledby="ledger-title">
			<div class="heading">
				<h2 id="ledger-title">Ledger</h2>
				<span class="pale">{range(days.from, days.to)}</span>
				{rows.length > 0 && <Balance totals={totals} />}
			</div>
			<p class="explain">
				What became of every event that a node received: accepted, or refused as duplicate, bot, limited, invalid or shed.
				Stored are counted; merged were reported twice, by browser and server, and counted once. Lost, and dropped by the
				kernel before the node could read them, are the views that nobody can count any more.
			</p>
			{rows.length === 0 ? <p class="pale">No entries in this range yet.</p> : (
				<div class="scroll" tabIndex={0} role="region" aria-labelledby="ledger-title">
					<table class="ledger">
						<thead>
							<tr>
								<th scope="col">Hour</th>
								<th scope="col">Node</th>
								{COLUMNS.map((c) => <th scope="col" class="num" key={c}>{c === 'udp_dropped' ? 'UDP drops' : c}</th>)}
								<th scope="col">State</th>
							</tr>
						</thead>
						<tbody>
							{rows.slice(-LEDGER_ROWS).reverse().map((r) => (
								<tr key={`${r.node} ${r.hour}`}>
									<th scope="row">{moment(r.hour, zone)}</th>
									<td>{r.node}</td>
									{COLUMNS.map((c) => <td class={`num${r[c] ? (LOST.includes(c) ? ' bad' : '') : ' zero'}`} key={c}>{number(r[c])}</td>)}
									<td><Badge verdict={r.verdict}>{hourState(r, zone)}</Badge></td>
								</tr>
							))}
						</tbody>
						<tfoot>
							<tr>
								<th scope="row" colSpan={2}>Total</th>
								{COLUMNS.map((c) => <td class="num strong" key={c}>{number(totals[c])}</td>)}
								<td />
							</tr>
						</tfoot>
					</table>
				</div>
			)}
			{rows.length > LEDGER_ROWS && <p class="pale">The newest {number(LEDGER_ROWS)} of {number(rows.length)} entries; the total is of all.</p>}
		</section>
	);
}

export function Nodes({place, go, onUnauthorized}) {
	const state = useNodes(place, onUnauthorized);
	const {base, nodes, ledger} = state.data;
	const zone = base && base.me.time_zone;
	return (
		<>
			<main class="frame" id="main" tabIndex={-1}>
				<div class="title"><h1>Nodes</h1></div>
				{base && <Controls place={place} go={go} days={base.days} me={base.me} />}
				<Staleness {...state} zone={zone} />
				{!base && !state.failed && <Spinner label="Loading the nodes" />}
				<div class={state.loading ? 'content loading' : 'content'} aria-busy={state.loading}>
					{nodes && <NodeList nodes={nodes.nodes || []} zone={zone} />}
					{ledger && base && <Ledger ledger={ledger} days={base.days} zone={zone} />}
				</div>
			</main>
			<Footer zone={zone} loadedAt={state.loadedAt} />
		</>
	);
}
