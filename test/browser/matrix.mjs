/* matrix.mjs -- one list of cases, in every engine, against a real agent and central, with exact counts.
 *
 *   node test/browser/matrix.mjs [chromium|firefox|webkit]...       default: all three
 *
 * Prints a table, and a closing line as run-tests does. A cell is "total/views" of what the central counted: total
 * has repeats within the double-click window, views does not. Nothing is compared before every case of the engine is
 * through and a later view has been counted, so that what should not be counted had its chance. Where a case is about
 * the 500 ms, the page's clock stands still until the case moves it.
 */
import assert from 'node:assert/strict';
import {createHash, randomUUID} from 'node:crypto';
import {fileURLToPath} from 'node:url';
import {Cannot, ENGINES} from './engines.mjs';
import {closedPort, startFarm, startSite, until} from './farm.mjs';

/* The event's id as the tracker makes it: each engine has its own way. */
const UUID4 = /"event_id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"/;

/* In every page, before the tracker: what went wrong in it, and how it came back. */
const WITNESS = `
	window.errors = [];
	addEventListener('error', function (e) { errors.push(String(e.message)); });
	addEventListener('unhandledrejection', function (e) { errors.push(String(e.reason)); });
	addEventListener('pageshow', function (e) { window.restored = e.persisted; });`;
const STOPPED_CLOCK = `
	var at = performance.now();
	performance.now = function () { return at; };
	window.advance = function (ms) { at += ms; };`;

function mark(id, more = '') {
	return `<p data-analytics-track data-content-type="video" data-content-id="${id}" ${more}>${id}</p>`;
}

class Run {
	constructor(farm, site, engine) {
		Object.assign(this, {farm, site, engine, tabs: [], expected: new Map()});
	}

	/* A new content, of which the central will have counted this much in the end. */
	content(total, views = Math.min(total, 1)) {
		const id = randomUUID();
		this.expected.set(id, `${total}/${views}`);
		return id;
	}

	page(body, {script = '', head = '', headers, nonce = '', clock = false} = {}) {
		const path = `/${randomUUID()}`;
		const witness = `<script nonce="${nonce}">${WITNESS}${clock ? STOPPED_CLOCK : ''}</script>`;
		const html = `<!doctype html><html><head><title>t</title>${witness}${head}</head><body>${body}<script src="/js/analytics-tracking.js" nonce="${nonce}" ${script}></script></body></html>`;
		this.site.pages.set(path, {html, headers});
		return this.site.origin + path;
	}

	async open(url, options) {
		const tab = await this.engine.open(options);
		this.tabs.push(tab);
		if (!url) return tab;
		await tab.goto(url);
		await until('the tab to be seen', () => tab.run('!document.hidden'));
		return tab;
	}

	async close(tab) {
		this.tabs = this.tabs.filter((t) => t !== tab);
		await tab.close();
	}

	sent(id) {
		return this.site.beacons.filter((b) => b.includes(id)).length;
	}

	untilSent(id, n = 1) {
		return until(`beacon ${n} of ${id}`, () => this.sent(id) >= n);
	}

	hits(url) {
		return this.site.hits.filter((h) => h.path === new URL(url).pathname);
	}

	async noErrors(tab) {
		assert.deepEqual(await tab.run('window.errors'), [], 'no error reaches the page');
	}

	async finish() {
		for (const tab of this.tabs.splice(0)) await tab.close();
	}
}

async function viewed(run, total, act) {
	const id = run.content(total);
	const tab = await run.open(run.page(mark(id)));
	await run.untilSent(id);
	assert.match(run.site.beacons.find((b) => b.includes(id)), UUID4);
	await act?.(tab, id);
	await run.noErrors(tab);
}

async function prerender(run, total) {
	const id = run.content(total);
	const url = run.page(mark(id));
	const rules = JSON.stringify({prerender: [{source: 'list', urls: [url], eagerness: 'immediate'}]});
	const tab = await run.open(run.page('', {head: `<script type="speculationrules">${rules}</script>`}));
	if (!await tab.run(`!!(HTMLScriptElement.supports && HTMLScriptElement.supports('speculationrules'))`)) {
		run.expected.delete(id);
		throw new Cannot('knows no speculation rules');
	}
	await until('the prerendering', () => run.hits(url).length);
	assert.match(run.hits(url)[0].headers['sec-purpose'] || '', /prerender/);
	return {tab, id, url};
}

/* Reads it a moment later: the page that was left answers no longer. */
function eventually(tab, expression) {
	return until(expression, () => tab.run(expression).catch(() => false));
}

/* The tracker's timer of 510 ms was set before the load, so it is due before this one. */
async function firstTimerInVain(tab) {
	await tab.run('void setTimeout(function () { window.timersPast = true; }, 600)');
	await until('the first timer in vain', () => tab.run('!!window.timersPast'));
}

export const CASES = {
	'plain view': (run) => viewed(run, 1),

	'reload': (run) => viewed(run, 2, async (tab, id) => {
		await tab.run('void setTimeout(function () { location.reload(); })');
		await run.untilSent(id, 2);
	}),

	'double click within 30 s': async (run) => {
		const id = run.content(2, 1);
		const url = run.page(mark(id));
		const tab = await run.open(url);
		await run.untilSent(id);
		await tab.goto(run.page(''));
		await tab.goto(url);
		await run.untilSent(id, 2);
	},

	'two elements': async (run) => {
		const [one, two] = [run.content(1), run.content(1)];
		await run.open(run.page(mark(one) + mark(two)));
		await run.untilSent(one);
		await run.untilSent(two);
	},

	'single page: on, back, forward': (run) => viewed(run, 4, async (tab, id) => {
		const steps = [`history.pushState(null, '', '?on')`, 'history.back()', 'history.forward()'];
		for (const [i, step] of steps.entries()) {
			await tab.run(`void ${step}`);
			await run.untilSent(id, i + 2);
		}
	}),

	'back/forward cache': (run) => viewed(run, 2, async (tab, id) => {
		await tab.goto(run.page(''));
		await tab.run('void setTimeout(function () { history.back(); })');
		await run.untilSent(id, 2);
		if (!await eventually(tab, 'window.restored !== undefined && [window.restored]').then(([is]) => is)) throw new Cannot('loads the page anew when it is driven');
	}),

	'prerendered and opened': async (run) => {
		const {tab, id, url} = await prerender(run, 1);
		await tab.run(`void setTimeout(function () { location.href = ${JSON.stringify(url)}; })`);
		await run.untilSent(id);
		assert.equal(run.hits(url).length, 1, 'opened as it was prerendered');
	},

	'prerendered, never opened': async (run) => {
		const {id} = await prerender(run, 0);
		await viewed(run, 1);
		assert.equal(run.sent(id), 0);
	},

	'background tab, never seen': async (run) => {
		const id = randomUUID();
		const tab = await run.open(null, {background: true});
		await tab.goto(run.page(mark(id)));
		if (!await tab.run('document.hidden')) throw new Cannot('shows every tab');
		run.expected.set(id, '0/0');
		await run.noErrors(tab);
	},

	'closed before 500 ms': async (run) => {
		const id = run.content(0);
		const tab = await run.open(run.page(mark(id), {clock: true}));
		await tab.run('void advance(400)');
		await run.close(tab);
	},

	'closed after 500 ms': async (run) => {
		const id = run.content(1);
		const tab = await run.open(run.page(mark(id), {clock: true}));
		await firstTimerInVain(tab);
		assert.equal(run.sent(id), 0);
		await tab.run('void advance(600)');
		await run.close(tab);
		await run.untilSent(id);
	},

	'left after 500 ms': async (run) => {
		const id = run.content(1);
		const tab = await run.open(run.page(mark(id), {clock: true}));
		await firstTimerInVain(tab);
		assert.equal(run.sent(id), 0);
		await tab.run('void advance(600)');
		await tab.goto(run.page(''));
		await run.untilSent(id);
	},

	'offline, then online': async (run) => {
		const id = randomUUID();
		const tab = await run.open(run.page(mark(id), {clock: true}));
		await tab.offline(true);
		if (await tab.run('navigator.onLine')) throw new Cannot('is not told that it is offline');
		run.expected.set(id, '1/1');
		await tab.run(`void (advance(600), document.dispatchEvent(new Event('visibilitychange')))`);
		await tab.offline(false);
		await run.untilSent(id);
		await run.noErrors(tab);
	},

	'beacon blocked, backend twin': async (run) => {
		const [id, event] = [run.content(1), randomUUID()];
		const blocked = `data-endpoint="http://127.0.0.1:${await closedPort()}/api/track-view/"`;
		await run.farm.emit([{type: 'video', id, eid: event}]);
		const tab = await run.open(run.page(mark(id, `data-event-id="${event}"`), {script: blocked, clock: true}));
		await tab.run(`void (advance(600), document.dispatchEvent(new Event('visibilitychange')))`);
		await until('the attempt', () => tab.run(`!document.querySelector('p').dataset.eventId`));
		await run.noErrors(tab);
	},

	'beacon and backend twin': async (run) => {
		const [id, event] = [run.content(1), randomUUID()];
		await run.farm.emit([{type: 'video', id, eid: event}]);
		await run.open(run.page(mark(id, `data-event-id="${event}"`)));
		await run.untilSent(id);
	},

	'agent down': async (run) => {
		const id = run.content(0), url = run.page(mark(id), {clock: true});
		const tab = await run.open(url);
		await run.farm.agent.stop();
		await tab.run(`void (advance(600), document.dispatchEvent(new Event('visibilitychange')))`);
		await run.untilSent(id);
		await until('the answer', () => run.site.failures.length);
		run.site.failures.length = 0;
		await run.noErrors(tab);
		await run.farm.agent.start();
		run.site.upstream = `http://${run.farm.agent.at.http}`;
		await viewed(run, 1);
	},

	'strict content security policy': async (run) => {
		const id = run.content(1), blocked = run.content(0);
		const policy = (connect) => ({'Content-Security-Policy': `default-src 'none'; script-src 'nonce-n0nce'; connect-src ${connect}`});
		const integrity = `integrity="${run.integrity}"`;
		const tab = await run.open(run.page(mark(id), {nonce: 'n0nce', script: integrity, headers: policy(`'self'`)}));
		await run.untilSent(id);
		await run.noErrors(tab);
		await tab.goto(run.page(mark(blocked), {nonce: 'n0nce', headers: policy(`'none'`)}));
		await viewed(run, 1);
		await run.noErrors(tab);
	},

	'200 elements': async (run) => {
		const ids = Array.from({length: 200}, () => run.content(1));
		const tab = await run.open(run.page(ids.map((id) => mark(id)).join('')));
		for (const id of ids) await run.untilSent(id);
		await run.noErrors(tab);
	},

	'cached page': async (run) => {
		const id = run.content(2, 1);
		const url = run.page(mark(id), {headers: {'Cache-Control': 'max-age=3600'}});
		const tab = await run.open(url);
		await run.untilSent(id);
		await tab.goto(run.page(''));
		await tab.run(`void setTimeout(function () { location.href = ${JSON.stringify(url)}; })`);
		await run.untilSent(id, 2);
		if (run.engine.cacheless) throw new Cannot(run.engine.cacheless);
		assert.equal(run.hits(url).length, 1, 'the second came from the cache');
	},
};

/* One row of `content/video/ID` each would be 200 requests: top has them all. */
async function counted(farm) {
	await farm.flush();
	const {today} = await farm.api('me');
	/* from the day before: a run may go on over midnight */
	const from = new Date(Date.parse(today) - 86400000).toISOString().slice(0, 10);
	const {rows} = await farm.api('top', {from, to: today, limit: 1000});
	return new Map(rows.map((row) => [row.id, `${row.total_views}/${row.views}`]));
}

/* What differs from what a case expects; the cell, for the others. */
function compare(expected, found) {
	const cells = new Map();
	for (const [id, want] of expected) {
		const got = found.get(id) || '0/0';
		if (got !== want) throw new Error(`counted ${got}, ${want} expected`);
		cells.set(got, (cells.get(got) || 0) + 1);
	}
	return [...cells].map(([cell, n]) => (n > 1 ? `${n} × ${cell}` : cell)).join(', ');
}

/* {name, version, results: {case: {cell} or {cannot} or {failed}}} */
export async function runEngine(which) {
	const results = {}, done = [];
	let farm, site, engine;
	try {
		site = await startSite();
		farm = await startFarm();
		site.upstream = farm.http;
		const code = Buffer.from(await (await fetch(`${farm.http}/js/analytics-tracking.js`)).arrayBuffer());
		engine = await ENGINES[which]();
		for (const [name, work] of [...Object.entries(CASES), ['a later view', CASES['plain view']]]) {
			const run = new Run(farm, site, engine);
			run.integrity = `sha384-${createHash('sha384').update(code).digest('base64')}`;
			try {
				await work(run);
				await run.finish();
				done.push([name, run]);
			} catch (e) {
				await run.finish().catch(() => {});
				if (e instanceof Cannot && run.expected.size) done.push([name, run]);
				results[name] = e instanceof Cannot ? {cannot: e.message} : {failed: e.stack};
			}
		}
		const found = await counted(farm);
		for (const [name, run] of done) {
			try {
				const cell = compare(run.expected, found);
				results[name] = results[name] || {cell};
			} catch (e) {
				results[name] = {failed: e.message};
			}
		}
		return {name: engine.name, version: engine.version, results};
	} finally {
		await engine?.close();
		await farm?.stop();
		await site?.stop();
	}
}

function text(result) {
	if (!result) return '-';
	if (result.cell) return result.cell;
	return result.cannot ? '(cannot)' : 'FAILED';
}

export function table(columns) {
	const head = ['total/views', ...columns.map((c) => `${c.name} ${c.version}`.slice(0, 24))];
	const rows = [...Object.keys(CASES), 'a later view'].map((name) => [name, ...columns.map((c) => text(c.results[name]))]);
	const width = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)));
	const lines = [head, ...rows].map((row) => row.map((cell, i) => cell.padEnd(width[i])).join('  ').trimEnd());
	for (const {name, results} of columns) {
		for (const [what, {cannot}] of Object.entries(results)) if (cannot) lines.push(`${name}, ${what}: cannot be run headless, since it ${cannot}`);
	}
	return lines.join('\n');
}

async function main(which) {
	const columns = [], count = {passed: 0, failed: 0, skipped: 0};
	for (const engine of which) {
		try {
			columns.push(await runEngine(engine));
		} catch (e) {
			console.log(`${engine} did not run: ${e.stack}`);
			count.failed++;
		}
	}
	for (const {name, results} of columns) {
		for (const [what, result] of Object.entries(results)) {
			count[result.cell ? 'passed' : result.cannot ? 'skipped' : 'failed']++;
			if (result.failed) console.log(`${name}: ${what}: ${result.failed}`);
		}
	}
	console.log(table(columns));
	console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
	process.exitCode = count.failed ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.length > 2 ? process.argv.slice(2) : Object.keys(ENGINES));
