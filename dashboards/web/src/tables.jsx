/* tables.jsx -- rows of contents, and of whatever else views are divided by. */
import {keyLabel, number, percent} from './format.js';

/* A share as a bar behind or below the name: the numbers say the same, so it is only for eyes. */
export function share(n, most) {
	return {'--share': most > 0 ? Math.max(0, Math.min(1, n / most)).toFixed(4) : 0};
}

function Empty({next}) {
	return (
		<div class="empty">
			<svg viewBox="0 0 48 32" width="72" height="48" aria-hidden="true">
				<path d="M4 28h40" />
				<path d="M10 28v-6M19 28v-11M28 28v-8M37 28V9" stroke-dasharray="2 3" />
			</svg>
			<h3>No Analytics Data Yet</h3>
			<p>Content views will appear here once visitors start accessing your library.</p>
			<p class="next">{next ? <>The next data is expected at <time>{next}</time>.</> : 'The first data comes when a node has reported.'}</p>
		</div>
	);
}

function ContentRow({row, rank, most, withSite}) {
	return (
		<tr>
			<td class="rank">{rank}</td>
			<th scope="row" style={share(row.views, most)}>
				<span class={row.title ? 'name' : 'name id'} title={row.id}>{row.title || row.id}</span>
				<span class="sub">{row.type}{withSite && row.site ? ` · ${row.site}` : ''}</span>
			</th>
			<td class="type"><span class="tag">{row.type}</span></td>
			<td class="num strong">{number(row.views)}</td>
			<td class="num">{number(row.visitors)}</td>
			<td class="num wide">{number(row.total_views)}</td>
		</tr>
	);
}

export function TopContent({rows, next, sites}) {
	const most = rows && rows.length ? Math.max(...rows.map((r) => r.views)) : 0;
	return (
		<section class="card" aria-labelledby="top-title">
			<h2 id="top-title">Top content</h2>
			{rows && !rows.length && <Empty next={next} />}
			{rows && rows.length > 0 && (
				<table class="top-content">
					<thead>
						<tr>
							<th scope="col" class="rank"><span class="sr">Rank</span></th>
							<th scope="col">Content</th>
							<th scope="col" class="type">Type</th>
							<th scope="col" class="num">Views</th>
							<th scope="col" class="num">Visitors</th>
							<th scope="col" class="num wide">Total views</th>
						</tr>
					</thead>
					<tbody>
						{rows.map((row, i) => (
							<ContentRow
								key={`${row.site} ${row.type} ${row.id}`} row={row} rank={i + 1} most={most}
								withSite={sites && sites.length > 1}
							/>
						))}
					</tbody>
				</table>
			)}
			{!rows && <p class="pale">Not loaded yet.</p>}
		</section>
	);
}

export function Breakdown({dim, title, rows, whole}) {
	const id = `by-${dim}`;
	return (
		<section class="card panel" aria-labelledby={id}>
			<h2 id={id}>{title}</h2>
			{rows && rows.length > 0 ? (
				<table>
					<colgroup><col /><col class="views" /><col class="share" /></colgroup>
					<thead class="sr">
						<tr><th scope="col">{title}</th><th scope="col">Views</th><th scope="col">Share</th></tr>
					</thead>
					<tbody>
						{rows.map((row) => (
							<tr key={row.key}>
								<th scope="row" style={share(row.views, rows[0].views)}><span class="name" title={row.key}>{keyLabel(dim, row.key)}</span></th>
								<td class="num strong">{number(row.views)}</td>
								<td class="num pale">{percent(row.views, whole)}</td>
							</tr>
						))}
					</tbody>
				</table>
			) : (
				<p class="pale">{rows ? 'Nothing in this range yet.' : 'Not loaded yet.'}</p>
			)}
		</section>
	);
}
