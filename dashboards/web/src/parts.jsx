/* parts.jsx -- the small pieces that several pages show. */
import {clock, count, moment, number} from './format.js';

export function Brand() {
	return (
		<span class="brand">
			<svg viewBox="0 0 16 16" width="22" height="22" aria-hidden="true">
				<rect width="16" height="16" rx="4" />
				<path d="M4 11V8.5M8 11V5M12 11V7" stroke-width="2" stroke-linecap="round" />
			</svg>
			<span class="word">Footfall</span>
		</span>
	);
}

export function Spinner({label}) {
	return <p class="spinner" role="status"><span aria-hidden="true" />{label}…</p>;
}

export function Notice({kind, children}) {
	return <p class={`notice ${kind}`}>{children}</p>;
}

/* What is on the page is old: says how old, and that it will get better by itself. */
export function Staleness({failed, refused, loadedAt, zone}) {
	let text = '';
	if (failed) {
		text = loadedAt
			? `The central does not answer; showing what was loaded at ${clock(loadedAt, zone).slice(0, 5)}.`
			: 'The central does not answer; nothing was loaded yet.';
	} else if (refused) {
		text = `The central refused: ${refused}`;
	}
	return <div role="status" aria-live="polite">{text && <Notice kind="bad">{text}</Notice>}</div>;
}

export function Footer({zone, loadedAt}) {
	return (
		<footer class="frame foot">
			{zone && <span>Days are those of {zone.replace(/_/g, ' ')}</span>}
			{loadedAt && <span>Updated <time>{clock(loadedAt, zone)}</time></span>}
		</footer>
	);
}

/* A word with a mark whose shape differs too, for those who see no colours. */
export function Badge({verdict, children}) {
	return <span class={`badge ${verdict}`}><i aria-hidden="true" />{children || verdict}</span>;
}

/* Batches are lost when a central was restored: nothing more will come, and nothing is waited for. */
function absence(m) {
	if (m.verdict === 'lost') return `${count(m.lost_batches, 'batch', 'batches')} of ${m.node} lost`;
	return m.verdict === 'silent' ? `${m.node} silent` : `Waiting for ${m.node}`;
}

/* "Complete", or everything that it lacks. */
export function Completeness({summary, zone}) {
	if (!summary) return <p class="completeness"><span class="ghost">Complete</span></p>;
	const lost = summary.lost > 0;
	return (
		<p class="completeness" role="status">
			{summary.complete && !lost && <Badge verdict="complete">Complete</Badge>}
			{(summary.missing || []).map((m) => (
				<Badge key={m.node} verdict={m.verdict}>
					{absence(m)}
					{m.since && ` since ${moment(m.since, zone)}`}
				</Badge>
			))}
			{!summary.complete && !lost && !(summary.missing || []).length && <Badge verdict="waiting">Not complete yet</Badge>}
			{lost && <Badge verdict="lost">{number(summary.lost)} lost</Badge>}
		</p>
	);
}
