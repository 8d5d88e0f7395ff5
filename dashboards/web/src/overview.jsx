/* overview.jsx -- how much was viewed, when, what, and by whom. */
import {get} from './api.js';
import {Chart} from './chart.jsx';
import {Controls} from './controls.jsx';
import {grainOf, presetDays} from './days.js';
import {count, moment, number, range} from './format.js';
import {Completeness, Footer, Spinner, Staleness} from './parts.jsx';
import {usePolled} from './poll.js';
import {Breakdown, TopContent} from './tables.jsx';

const PANELS = [
	{dim: 'referrer', title: 'Referrers'},
	{dim: 'browser', title: 'Browsers'},
	{dim: 'system', title: 'Systems'},
	{dim: 'device', title: 'Devices'},
	{dim: 'country', title: 'Countries'},
	{dim: 'source', title: 'Reported by'},
];

/* The site's today comes first: presets count back from it. */
async function load(place) {
	const me = await get('me');
	const days = place.range === 'custom' ? {from: place.from, to: place.to} : presetDays(place.range, me.today);
	const filter = {...days, type: place.type, site: place.site};
	return {me, days, filter};
}

function useOverview(place, onUnauthorized) {
	const key = JSON.stringify([place.range, place.from, place.to, place.type, place.site]);
	let base;
	const parts = {
		base: () => (base = load(place)),
		summary: async () => get('summary', (await base).filter),
		series: async () => {
			const {days, filter} = await base;
			return get('series', {...filter, grain: grainOf(days.from, days.to)});
		},
		top: async () => get('top', {...(await base).filter, limit: 20}),
	};
	for (const {dim} of PANELS) {
		parts[dim] = async () => {
			const {days, filter} = await base;
			return get('breakdown', {...days, site: filter.site, dim, limit: 6});
		};
	}
	return usePolled(key, parts, onUnauthorized);
}

function Tile({label, value, note, lead}) {
	return (
		<div class={lead ? 'tile lead' : 'tile'}>
			<dt>{label}</dt>
			<dd><strong>{number(value)}</strong>{note && <small>{note}</small>}</dd>
		</div>
	);
}

function Tiles({summary: s}) {
	const repeats = s ? s.total_views - s.views : 0;
	return (
		<dl class="tiles">
			<Tile lead label="Views" value={s && s.views} note="without repeats" />
			<Tile label="Unique views" value={s && s.unique_views} note="one per visitor, content and day" />
			<Tile label="Visitors" value={s && s.visitors} note="distinct each day, summed" />
			<Tile label="Total views" value={s && s.total_views} note={repeats ? `with ${count(repeats, 'repeat', 'repeats')}` : 'with repeats'} />
		</dl>
	);
}

export function Overview({place, go, onUnauthorized}) {
	const state = useOverview(place, onUnauthorized);
	const {base, summary, series, top} = state.data;
	if (!base) {
		return (
			<main class="frame" id="main" tabIndex={-1}>
				<h1 class="sr">Overview</h1>
				{state.failed || state.refused ? <Staleness {...state} /> : <Spinner label="Loading the numbers" />}
			</main>
		);
	}
	const {me, days} = base;
	const zone = me.time_zone;
	/* Every view has one source, so these two or three rows are all views, whatever the type filter leaves out. */
	const whole = state.data.source && state.data.source.rows.reduce((n, row) => n + row.views, 0);
	const next = me.next_data && moment(me.next_data, zone);
	return (
		<>
			<main class="frame" id="main" tabIndex={-1}>
				<div class="title">
					<div>
						<h1>Overview</h1>
						<p class="range">{range(days.from, days.to)}</p>
					</div>
					<Completeness summary={summary} zone={zone} />
				</div>
				<Controls place={place} go={go} days={days} me={me} filters />
				<Staleness {...state} zone={zone} />
				<div class={state.loading ? 'content loading' : 'content'} aria-busy={state.loading}>
					<Tiles summary={summary} />
					<Chart series={series} />
					<TopContent rows={top && top.rows} next={next} sites={me.sites} />
					{place.type && <p class="across">Below: all types together, since these are not counted by type.</p>}
					<div class="panels">
						{PANELS.map((p) => (
							<Breakdown key={p.dim} {...p} rows={state.data[p.dim] && state.data[p.dim].rows} whole={whole} />
						))}
					</div>
				</div>
			</main>
			<Footer zone={zone} loadedAt={state.loadedAt} />
		</>
	);
}
