/* bots.jsx -- who came that is nobody: by name where the User-Agent gives one away, else by reason. */
import {get} from './api.js';
import {Choice, Controls, withChosen} from './controls.jsx';
import {presetDays} from './days.js';
import {count, number, percent, range} from './format.js';
import {Completeness, Footer, Spinner, Staleness} from './parts.jsx';
import {usePolled} from './poll.js';
import {share} from './tables.jsx';

/* More rows than anybody reads; finding is for the rest. */
const ROWS = 200;

const REASONS = {
	user_agent: {label: 'User-Agent', what: 'is one of a bot, library or tool'},
	no_user_agent: {label: 'No User-Agent', what: 'none was sent'},
	headers: {label: 'Headers', what: 'contradict the User-Agent, or a program drives the browser'},
	prefetch: {label: 'Prefetch', what: 'the page was only loaded in advance'},
	opted_out: {label: 'Opted out', what: 'asked not to be counted, where that is honoured'},
};
const COLUMNS = [
	{key: 'name', label: 'Bot'},
	{key: 'reason', label: 'Reason'},
	{key: 'events', label: 'Events', num: true},
];

/* A reason of a later central has no words here yet. */
function reasonLabel(reason) {
	return REASONS[reason] ? REASONS[reason].label : reason;
}

function rowLabel(row) {
	if (row.name === 'other') return 'Other User-Agents';
	return row.name || reasonLabel(row.reason);
}

function useBots(place, onUnauthorized) {
	let base;
	const parts = {
		base: () => (base = get('me').then((me) => ({
			me,
			days: place.range === 'custom' ? {from: place.from, to: place.to} : presetDays(place.range, me.today),
		}))),
		nodes: () => get('nodes'),
		bots: async () => get('bots', {...(await base).days, node: place.node}),
	};
	return usePolled(JSON.stringify(['bots', place.range, place.from, place.to, place.node]), parts, onUnauthorized);
}

/* "events" is the largest first, "name" and "reason" from A on; a minus turns them round. */
function sorted(rows, sort) {
	const turned = sort.startsWith('-');
	const key = turned ? sort.slice(1) : sort;
	const text = {name: rowLabel, reason: (row) => reasonLabel(row.reason)}[key];
	const order = text ? (a, b) => text(a).localeCompare(text(b), 'en') : () => 0;
	const all = [...rows].sort((a, b) => order(a, b) || b.events - a.events || rowLabel(a).localeCompare(rowLabel(b), 'en'));
	return turned ? all.reverse() : all;
}

function matching(rows, place) {
	const find = place.find.trim().toLowerCase();
	return rows.filter((row) => (!place.reason || row.reason === place.reason) && rowLabel(row).toLowerCase().includes(find));
}

function Reasons({bots}) {
	const most = Math.max(...bots.reasons.map((r) => r.events));
	return (
		<section class="card" aria-labelledby="reasons-title">
			<div class="heading">
				<h2 id="reasons-title">By reason</h2>
				<span class="pale">{number(bots.bots)} of {count(bots.received, 'event', 'events')} received, {percent(bots.bots, bots.received)}</span>
			</div>
			<table class="reasons">
				<colgroup><col /><col class="events" /><col class="share" /></colgroup>
				<thead class="sr">
					<tr><th scope="col">Reason</th><th scope="col">Events</th><th scope="col">Share of bots</th></tr>
				</thead>
				<tbody>
					{bots.reasons.map((r) => (
						<tr key={r.reason}>
							<th scope="row" style={share(r.events, most)}>
								<span class="name">{reasonLabel(r.reason)} <span class="what">{REASONS[r.reason] && REASONS[r.reason].what}</span></span>
							</th>
							<td class={r.events ? 'num strong' : 'num zero'}>{number(r.events)}</td>
							<td class="num pale">{percent(r.events, bots.bots)}</td>
						</tr>
					))}
				</tbody>
			</table>
		</section>
	);
}

function Heading({column, sort, onSort}) {
	const turned = sort === `-${column.key}`;
	const active = turned || sort === column.key;
	/* the usual order of events is the largest first */
	const direction = (column.key === 'events') === turned ? 'ascending' : 'descending';
	return (
		<th scope="col" class={column.num ? 'num' : column.key} aria-sort={active ? direction : undefined}>
			<button type="button" class="sort" onClick={() => onSort(active && !turned ? `-${column.key}` : column.key)}>
				{column.label}<i aria-hidden="true">{active ? (direction === 'ascending' ? '▲' : '▼') : ''}</i>
			</button>
		</th>
	);
}

function Filters({place, go, shown, all}) {
	const narrowed = place.find || place.reason;
	return (
		<div class="filters" role="search" aria-label="Bots">
			<label class="choice">
				<span>Find</span>
				<input
					type="search" name="find" value={place.find} placeholder="a name" autocomplete="off" spellcheck={false}
					onInput={(e) => go({find: e.currentTarget.value}, {replace: true})}
				/>
			</label>
			<label class="choice">
				<span>Reason</span>
				<select name="reason" value={place.reason} onChange={(e) => go({reason: e.currentTarget.value})}>
					<option value="">All reasons</option>
					{withChosen(Object.keys(REASONS), place.reason).map((r) => <option key={r} value={r}>{reasonLabel(r)}</option>)}
				</select>
			</label>
			<p role="status" class="pale">{narrowed ? `${number(shown)} of ${number(all)} rows` : ''}</p>
		</div>
	);
}

function BotRow({row, most, whole}) {
	return (
		<tr>
			<th scope="row" style={share(row.events, most)}>
				<span class={row.name && row.name !== 'other' ? 'name' : 'name unnamed'} title={rowLabel(row)}>{rowLabel(row)}</span>
				{row.name && <span class="sub">{reasonLabel(row.reason)}</span>}
			</th>
			<td class="reason"><span class="tag">{reasonLabel(row.reason)}</span></td>
			<td class="num strong">{number(row.events)}</td>
			<td class="num pale">{percent(row.events, whole)}</td>
		</tr>
	);
}

/* What the table leaves out is said, never silently gone. */
function Rest({rows, more}) {
	const hidden = rows.slice(ROWS);
	if (!hidden.length && !more) return null;
	const events = hidden.reduce((n, row) => n + row.events, 0);
	return (
		<p class="pale rest">
			{hidden.length > 0 && <>{count(hidden.length, 'more row', 'more rows')} with {count(events, 'event', 'events')}; find one by its name. </>}
			{more > 0 && <>{count(more, 'row is', 'rows are')} left out by the central’s limit, and counted above.</>}
		</p>
	);
}

function Names({bots, place, go}) {
	const rows = sorted(matching(bots.rows, place), place.sort);
	const most = Math.max(0, ...bots.rows.map((r) => r.events));
	return (
		<section class="card" aria-labelledby="names-title">
			<h2 id="names-title">By name</h2>
			<Filters place={place} go={go} shown={rows.length} all={bots.rows.length} />
			{rows.length > 0 ? (
				<table class="bots">
					<colgroup><col /><col class="reason" /><col class="events" /><col class="share" /></colgroup>
					<thead>
						<tr>
							{COLUMNS.map((c) => <Heading key={c.key} column={c} sort={place.sort} onSort={(sort) => go({sort})} />)}
							<th scope="col" class="num">Share</th>
						</tr>
					</thead>
					<tbody>
						{rows.slice(0, ROWS).map((row) => (
							<BotRow key={`${row.reason} ${row.name}`} row={row} most={most} whole={bots.bots} />
						))}
					</tbody>
				</table>
			) : (
				<p class="none">
					Nothing matches.{' '}
					<button type="button" class="link" onClick={() => go({find: '', reason: ''})}>Show all {number(bots.rows.length)} rows</button>
				</p>
			)}
			<Rest rows={rows} more={bots.more} />
		</section>
	);
}

function NoBots() {
	return (
		<section class="card">
			<div class="empty">
				<h3>No bots in these days</h3>
				<p>
					Crawlers, libraries, prefetching browsers and visitors who opted out are refused, counted, and shown here
					once a node has reported some.
				</p>
			</div>
		</section>
	);
}

export function Bots({place, go, onUnauthorized}) {
	const state = useBots(place, onUnauthorized);
	const {base, bots, nodes} = state.data;
	const zone = base && base.me.time_zone;
	const names = withChosen(nodes ? nodes.nodes.map((n) => n.node) : [], place.node);
	return (
		<>
			<main class="frame" id="main" tabIndex={-1}>
				<div class="title">
					<div>
						<h1>Bots</h1>
						{base && <p class="range">{range(base.days.from, base.days.to)}</p>}
					</div>
					{base && <Completeness summary={bots} zone={zone} />}
				</div>
				{base && (
					<Controls place={place} go={go} days={base.days} me={base.me}>
						{names.length > 1 && (
							<Choice label="Node" name="node" all="All nodes" value={place.node} options={names} onChoice={(node) => go({node})} />
						)}
					</Controls>
				)}
				<Staleness {...state} zone={zone} />
				{!bots && !state.failed && !state.refused && <Spinner label="Loading the bots" />}
				<div class={state.loading ? 'content loading' : 'content'} aria-busy={state.loading}>
					{bots && bots.rows.length === 0 && <NoBots />}
					{bots && bots.rows.length > 0 && <Reasons bots={bots} />}
					{bots && bots.rows.length > 0 && <Names bots={bots} place={place} go={go} />}
				</div>
			</main>
			<Footer zone={zone} loadedAt={state.loadedAt} />
		</>
	);
}
