/* chart.jsx -- views and visitors over time.
 *
 * x is the point's number, not its time: the central has cut the range into the site's days, and a day of 23
 * hours is as wide as any other. What is unknown (null) is a gap under a hatched band, never a zero; what is
 * not complete yet has a hollow point. The readout follows the pointer and the arrow keys.
 */
import {useEffect, useLayoutEffect, useRef, useState} from 'preact/hooks';
import uPlot from 'uplot';
import {number, pointLong, pointShort, shortNumber} from './format.js';

const HEIGHT = 300;
/* Above this many points the single ones are no longer worth a mark. */
const MARKS_MAX = 62;

function colour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function font() {
	return `12px ${getComputedStyle(document.body).fontFamily}`;
}

function columns(points) {
	return [points.map((p, i) => i), points.map((p) => p.views), points.map((p) => p.visitors)];
}

/* Labels so far apart that they do not touch, at whole numbers of points. */
function splits(u, axis, min, max, increment, space) {
	const n = u.data[0].length;
	const every = Math.max(1, Math.ceil((n * 64) / Math.max(1, u.bbox.width / devicePixelRatio)));
	const out = [];
	for (let i = (n - 1) % every; i < n; i += every) out.push(i);
	return out;
}

function hatch(ctx, stroke) {
	const tile = document.createElement('canvas');
	tile.width = tile.height = 8;
	const t = tile.getContext('2d');
	t.strokeStyle = stroke;
	t.lineWidth = 1;
	t.beginPath();
	t.moveTo(-2, 10);
	t.lineTo(10, -2);
	t.moveTo(-2, 2);
	t.lineTo(2, -2);
	t.moveTo(6, 10);
	t.lineTo(10, 6);
	t.stroke();
	return ctx.createPattern(tile, 'repeat');
}

/* Days of which nothing is known although others before them are: neither the time before the first view that
 * was ever counted nor the future is missing anything. */
function gaps(points) {
	const first = points.findIndex((p) => p.views !== null);
	return points.map((p, i) => p.views === null && first >= 0 && i > first && !isFuture(p));
}

function isFuture(point) {
	return Date.parse(point.t) > Date.now();
}

/* Bands under the gaps. */
function drawGaps(u, points) {
	const {ctx, bbox} = u;
	const width = u.valToPos(1, 'x', true) - u.valToPos(0, 'x', true) || bbox.width;
	ctx.save();
	ctx.beginPath();
	ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
	ctx.clip();
	ctx.fillStyle = hatch(ctx, colour('--hatch'));
	gaps(points).forEach((gap, i) => {
		if (gap) ctx.fillRect(u.valToPos(i, 'x', true) - width / 2, bbox.top, width, bbox.height);
	});
	ctx.restore();
}

/* A full point for what is complete, a hollow one for what may still grow. */
function drawMarks(u, points) {
	if (points.length > MARKS_MAX) return;
	const {ctx} = u;
	const r = 3 * devicePixelRatio;
	ctx.save();
	[[2, '--visitors'], [1, '--views']].forEach(([series, name]) => {
		ctx.strokeStyle = colour(name);
		ctx.lineWidth = 1.75 * devicePixelRatio;
		u.data[series].forEach((value, i) => {
			if (value === null || value === undefined) return;
			ctx.fillStyle = points[i].complete ? colour(name) : colour('--surface');
			ctx.beginPath();
			ctx.arc(u.valToPos(i, 'x', true), u.valToPos(value, 'y', true), points[i].complete ? r * 0.8 : r, 0, 2 * Math.PI);
			ctx.fill();
			if (!points[i].complete) ctx.stroke();
		});
	});
	ctx.restore();
}

function fade(u) {
	const {ctx, bbox} = u;
	if (!bbox.height) return 'transparent';
	const gradient = ctx.createLinearGradient(0, bbox.top, 0, bbox.top + bbox.height);
	gradient.addColorStop(0, colour('--views-soft'));
	gradient.addColorStop(1, colour('--views-none'));
	return gradient;
}

/* The line stands on a point, since there is nothing between two days. */
function snap(u, left, top) {
	return left < 0 ? [left, top] : [u.valToPos(u.posToIdx(left), 'x'), top];
}

function options(width, live, onCursor) {
	const axis = {stroke: () => colour('--pale'), font: font(), ticks: {show: false}};
	return {
		width,
		height: HEIGHT,
		padding: [12, 24, 0, 0],
		legend: {show: false},
		cursor: {y: false, move: snap, drag: {x: false, y: false}, points: {size: 9, width: 2, fill: () => colour('--surface')}},
		scales: {
			x: {time: false, range: (u) => [-0.5, Math.max(0.5, u.data[0].length - 0.5)]},
			y: {range: (u, min, max) => [0, Math.max(4, Math.ceil((max || 0) * 1.12))]},
		},
		axes: [
			{...axis, size: 34, gap: 8, grid: {show: false}, splits, values: (u, at) => at.map((i) => live.label(i))},
			{
				...axis, gap: 8, grid: {stroke: () => colour('--line'), width: 1},
				size: (u, values) => 22 + 7 * Math.max(1, ...(values || []).map((v) => v.length)),
				incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8, 1e9],
				space: 56, values: (u, at) => at.map(shortNumber),
			},
		],
		series: [
			{},
			{label: 'Views', stroke: () => colour('--views'), fill: fade, width: 2, points: {show: false}, spanGaps: false},
			{label: 'Visitors', stroke: () => colour('--visitors'), width: 1.75, points: {show: false}, spanGaps: false},
		],
		hooks: {
			drawClear: [(u) => drawGaps(u, live.points)],
			draw: [(u) => drawMarks(u, live.points)],
			setCursor: [(u) => onCursor(u.cursor.idx)],
		},
	};
}

function Plot({points, grain, onCursor, selected}) {
	const box = useRef(null);
	const plot = useRef(null);
	const live = useRef({});
	live.current.points = points;
	live.current.label = (i) => (points[i] ? pointShort(points[i].t, grain) : '');

	useLayoutEffect(() => {
		const u = new uPlot(options(box.current.clientWidth, live.current, onCursor), columns(points), box.current);
		plot.current = u;
		const size = new ResizeObserver(() => u.setSize({width: box.current.clientWidth, height: HEIGHT}));
		size.observe(box.current);
		const scheme = matchMedia('(prefers-color-scheme: dark)');
		const repaint = () => u.redraw(false, true);
		scheme.addEventListener('change', repaint);
		return () => {
			size.disconnect();
			scheme.removeEventListener('change', repaint);
			u.destroy();
		};
	}, []);

	useEffect(() => plot.current.setData(columns(points)), [points]);

	useEffect(() => {
		const u = plot.current;
		if (selected === null) return;
		u.setCursor({left: u.valToPos(selected, 'x'), top: u.bbox.height / devicePixelRatio / 2}, false);
	}, [selected, points]);

	return <div class="plot" ref={box} />;
}

function Readout({point, grain}) {
	if (!point) return <span class="pale">Point at the chart, or use the arrow keys, to read a value.</span>;
	if (point.views === null) return <span><b>{pointLong(point.t, grain)}</b> <span class="pale">{isFuture(point) ? 'still to come' : 'nothing is known'}</span></span>;
	return (
		<span>
			<b>{pointLong(point.t, grain)}</b>
			<span class="key views">{number(point.views)} views</span>
			<span class="key visitors">{number(point.visitors)} visitors</span>
			{!point.complete && <span class="pale">not complete yet</span>}
		</span>
	);
}

function AsTable({points, grain}) {
	return (
		<details class="as-table">
			<summary>The same as a table</summary>
			<div class="scroll">
				<table>
					<thead>
						<tr><th scope="col">{grain === 'hour' ? 'Hour' : grain === 'month' ? 'Month' : 'Day'}</th><th scope="col" class="num">Views</th><th scope="col" class="num">Visitors</th><th scope="col">State</th></tr>
					</thead>
					<tbody>
						{points.map((p) => (
							<tr key={p.t}>
								<th scope="row">{pointLong(p.t, grain)}</th>
								<td class="num">{number(p.views)}</td>
								<td class="num">{number(p.visitors)}</td>
								<td>{p.views === null ? (isFuture(p) ? 'still to come' : 'unknown') : p.complete ? 'complete' : 'not complete yet'}</td>
							</tr>
						))}
					</tbody>
				</table>
			</div>
		</details>
	);
}

const MOVES = {ArrowLeft: -1, ArrowRight: 1, PageUp: -7, PageDown: 7, Home: -Infinity, End: Infinity};
const TITLES = {hour: 'Hourly views and visitors', day: 'Daily views and visitors', month: 'Monthly views and visitors'};

export function Chart({series}) {
	const [at, setAt] = useState(null);
	const [selected, setSelected] = useState(null);
	const points = (series && series.points) || [];
	const grain = (series && series.grain) || 'day';
	const any = points.some((p) => p.views > 0 || p.visitors > 0);
	/* The points of another range or grain have other places: what was pointed at is no longer there. */
	const shape = points.length ? `${grain} ${points[0].t} ${points.length}` : '';
	useEffect(() => {
		setAt(null);
		setSelected(null);
	}, [shape]);

	function onKey(event) {
		const move = MOVES[event.key];
		if (event.key === 'Escape') return setSelected(null), setAt(null);
		if (move === undefined || event.altKey || event.ctrlKey || event.metaKey) return undefined;
		event.preventDefault();
		const from = at === null || at === undefined ? (move > 0 ? -1 : points.length) : at;
		const next = Math.max(0, Math.min(points.length - 1, from + move));
		setSelected(next);
		return setAt(next);
	}

	return (
		<section class="card chart" aria-labelledby="chart-title">
			<div class="heading">
				<h2 id="chart-title">{TITLES[grain]}</h2>
				{any && (
					<div class="legend">
						<span class="key views">Views</span>
						<span class="key visitors">Visitors</span>
						{points.some((p) => !p.complete && p.views !== null) && <span class="key hollow">Not complete yet</span>}
						{gaps(points).some(Boolean) && <span class="key gap">Unknown</span>}
					</div>
				)}
			</div>
			{!series && <div class="plot pale blank">Not loaded yet.</div>}
			{series && !any && <div class="plot empty"><p>No daily view data available yet</p></div>}
			{any && (
				<>
					<p class="readout" aria-live="polite"><Readout point={at === null || at === undefined ? null : points[at]} grain={grain} /></p>
					<div
						class="focusable" tabIndex={0} role="group" onKeyDown={onKey}
						aria-label={`${TITLES[grain]}: ${points.length} points. Arrow keys read them one by one.`}
					>
						<Plot key={shape} points={points} grain={grain} onCursor={setAt} selected={selected} />
					</div>
					<AsTable points={points} grain={grain} />
				</>
			)}
		</section>
	);
}
