/* The tracker in headless Chromium against a real agent and central.
 *
 * Proves that a view reaches the central exactly once by each way of sending, that what is no view does not, and
 * that nothing the tracker meets breaks the page. Time is the page's own: its clock stands still where a test is about
 * the 500 ms. "Not counted" is asserted after a later view was, which came the same way.
 */
import assert from 'node:assert/strict';
import {randomUUID} from 'node:crypto';
import {after, before, test} from 'node:test';
import {closedPort, PERSON, startBrowser, startFarm, startSite, until} from './farm.mjs';

let site, farm, browser;

before(async () => {
	site = await startSite();
	farm = await startFarm({http: {allowed_origins: [site.origin]}});
	site.upstream = farm.http;
	browser = await startBrowser();
});

after(async () => {
	await browser?.close();
	await farm?.stop();
	await site?.stop();
});

/* {id: {views, total_views}} of everything that the central has by now. */
async function counted() {
	await farm.flush();
	const {today} = await farm.api('me');
	/* from the day before: a test may run over midnight */
	const from = new Date(Date.parse(today) - 86400000).toISOString().slice(0, 10);
	const {rows} = await farm.api('top', {from, to: today, limit: 100});
	return Object.fromEntries(rows.map((row) => [row.id, row]));
}

async function totalOf(id) {
	return (await counted())[id]?.total_views || 0;
}

async function untilCounted(id, n = 1) {
	await until(`${n} of ${id}`, async () => (await totalOf(id)) >= n);
	assert.equal(await totalOf(id), n);
}

/* Goes on to a page that is viewed, so that whatever the last page had to send has been sent before. */
async function untilLaterViewCounted(page) {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await page.clock.runFor(1000).catch(() => {}); /* where the clock was not stopped it runs by itself */
	await untilCounted(id);
}

function mark(id, more = '') {
	return `<p data-analytics-track data-content-type="video" data-content-id="${id}" ${more}>${id}</p>`;
}

/* Publishes a page with the tracker on it; its address. By default it sends to the page's own origin. */
function serve(body, scriptAttributes = '', head = '') {
	const path = `/${randomUUID()}`;
	const script = `<script src="/js/analytics-tracking.js" ${scriptAttributes}></script>`;
	site.pages.set(path, `<!doctype html><html><head><title>t</title>${head}</head><body>${body}${script}</body></html>`);
	return site.origin + path;
}

/* A page of its own for each test, that fails the test when an error reached it. */
async function withPage(work, {init, clock} = {}) {
	const context = await browser.newContext({userAgent: PERSON});
	const page = await context.newPage();
	const seen = {errors: [], log: [], ways: []};
	page.on('pageerror', (e) => seen.errors.push(String(e)));
	page.on('console', (m) => seen.log.push(m.text()));
	page.on('request', (r) => r.url().includes('/api/track-view/') && seen.ways.push(r.resourceType()));
	if (clock) await page.clock.install({time: Date.now()});
	if (clock) await page.clock.pauseAt(Date.now() + 1000);
	if (init) await page.addInitScript(init);
	try {
		await work(page, seen);
		assert.deepEqual(seen.errors, [], 'no error reaches the page');
	} finally {
		await context.close();
	}
}

const noBeacon = () => delete Navigator.prototype.sendBeacon;
const noBeaconNoFetch = () => {
	delete Navigator.prototype.sendBeacon;
	delete window.fetch;
};

test('a view goes out by sendBeacon and is counted once', () => withPage(async (page, seen) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await untilCounted(id);
	assert.deepEqual(seen.ways, ['ping']);
	assert.deepEqual(seen.log, [], 'without data-debug it says nothing');
}));

test('without sendBeacon it goes out by fetch', () => withPage(async (page, seen) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await untilCounted(id);
	assert.deepEqual(seen.ways, ['fetch']);
}, {init: noBeacon}));

test('without sendBeacon and fetch it goes out by XHR', () => withPage(async (page, seen) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await untilCounted(id);
	assert.deepEqual(seen.ways, ['xhr']);
}, {init: noBeaconNoFetch}));

for (const [name, init] of [['sendBeacon', undefined], ['fetch', noBeacon], ['XHR', noBeaconNoFetch]]) {
	test(`a page of another origin is counted by ${name}`, () => withPage(async (page) => {
		const id = randomUUID();
		const path = new URL(serve(mark(id), `data-endpoint="${farm.http}/api/track-view/"`)).pathname;
		await page.goto(site.origin + path);
		await untilCounted(id);
	}, {init}));
}

test('a language prefix as endpoint is counted', () => withPage(async (page) => {
	const id = randomUUID();
	await page.goto(serve(mark(id), `data-endpoint="${farm.http}/en/api/track-view/"`));
	await untilCounted(id);
}));

test('when every way fails the page goes on and debug says so', async () => {
	const port = await closedPort();
	await withPage(async (page, seen) => {
		const id = randomUUID();
		const url = serve(mark(id) + '<p id="after"></p>', `data-debug data-endpoint="http://127.0.0.1:${port}/api/track-view/"`);
		await page.goto(url);
		await until('the log to say so', () => seen.log.some((l) => l.startsWith('footfall: 3') && l.includes(id)));
		await page.evaluate(() => (document.getElementById('after').textContent = 'works'));
		assert.equal(await page.textContent('#after'), 'works');
	}, {init: () => {
		Navigator.prototype.sendBeacon = () => { throw new Error('blocked'); };
		window.fetch = () => Promise.reject(new Error('blocked'));
	}});
});

test('without any way to send the page goes on and debug says so', () => withPage(async (page, seen) => {
	const id = randomUUID();
	await page.goto(serve(mark(id), 'data-debug'));
	await until('the log to say so', () => seen.log.some((l) => l.startsWith('footfall: 3') && l.includes(id)));
}, {init: () => {
	delete Navigator.prototype.sendBeacon;
	delete window.fetch;
	delete window.XMLHttpRequest;
}}));

test('a try that arrived and was repeated counts once', () => withPage(async (page, seen) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await untilCounted(id);
	await untilLaterViewCounted(page);
	assert.equal(await totalOf(id), 1);
	assert.deepEqual(seen.ways.slice(0, 2), ['ping', 'fetch']);
}, {init: () => {
	const real = Navigator.prototype.sendBeacon;
	Navigator.prototype.sendBeacon = function (...a) {
		real.apply(this, a);
		return false;
	};
}}));

test('every element of a page is counted once, with its own type and id', () => withPage(async (page) => {
	const ids = Array.from({length: 12}, () => randomUUID());
	await page.goto(serve(ids.map((id) => mark(id)).join('')));
	for (const id of ids) await untilCounted(id);
}));

test('an element without type or id is skipped, and debug says so', () => withPage(async (page, seen) => {
	const id = randomUUID(), alone = randomUUID();
	await page.goto(serve(
		`<p data-analytics-track></p><p data-analytics-track data-content-id="${alone}"></p>${mark(id)}`, 'data-debug',
	));
	await untilCounted(id);
	assert.equal(seen.log.filter((l) => !l.startsWith('footfall: 0')).length, 2);
	assert.equal(seen.ways.length, 1);
	assert.equal(await totalOf(alone), 0);
}));

test('a view that cannot be put into words is given up, and holds up no other', () => withPage(async (page, seen) => {
	const broken = randomUUID(), id = randomUUID();
	await page.goto(serve(mark(broken, 'data-site="broken"') + mark(id), 'data-debug'));
	await untilCounted(id);
	assert.ok(seen.log.includes('footfall: no words'));
	assert.equal(seen.ways.length, 1);
}, {init: () => {
	const real = JSON.stringify;
	JSON.stringify = (value) => {
		if (value.site === 'broken') throw 'no words';
		return real(value);
	};
}}));

test('a page with a URL of its own is counted as well', () => withPage(async (page, seen) => {
	const id = randomUUID();
	await page.goto(serve(mark(id), 'data-session'));
	await untilCounted(id);
	assert.equal(seen.ways.length, 1);
}, {init: () => {
	window.URL = 'https://library.example.org/';
}}));

test('as a module it takes its attributes from the html element', () => withPage(async (page, seen) => {
	const id = randomUUID();
	const path = `/${randomUUID()}`;
	site.pages.set(path, `<!doctype html><html data-debug><title>t</title>${mark(id)}
		<script type="module" src="/js/analytics-tracking.js"></script></html>`);
	await page.goto(site.origin + path);
	await untilCounted(id);
	assert.ok(seen.log.some((l) => l.startsWith('footfall: 0') && l.includes(id)));
}));

test('a bounce before 500 ms is no view', () => withPage(async (page) => {
	const bounced = randomUUID(), stayed = randomUUID();
	await page.goto(serve(mark(bounced)));
	await page.clock.runFor(400);
	await page.goto(serve(mark(stayed)));
	await page.clock.runFor(600);
	await untilCounted(stayed);
	await untilLaterViewCounted(page);
	assert.equal(await totalOf(bounced), 0);
}, {clock: true}));

/* Headless Chromium shows every tab, so the page is told what it would see. */
function setVisible(page, state) {
	return page.evaluate((s) => {
		Object.defineProperty(document, 'visibilityState', {value: s, configurable: true});
		Object.defineProperty(document, 'hidden', {value: s !== 'visible', configurable: true});
		document.dispatchEvent(new Event('visibilitychange', {bubbles: true}));
	}, state);
}

test('a hidden page waits until it is seen for 500 ms in all', () => withPage(async (page, seen) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await page.clock.runFor(300);
	await setVisible(page, 'hidden');
	await page.clock.runFor(60000);
	assert.equal(seen.ways.length, 0);
	await setVisible(page, 'visible');
	await page.clock.runFor(100);
	assert.equal(seen.ways.length, 0);
	await page.clock.runFor(600);
	await untilCounted(id);
}, {clock: true}));

test('what is due when the page gets hidden goes out at once', () => withPage(async (page) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	/* time passes, but the page was too busy for its timer */
	await page.evaluate(() => {
		const now = performance.now();
		performance.now = () => now + 501;
	});
	await setVisible(page, 'hidden');
	await untilCounted(id);
}, {clock: true}));

test('what is due goes out when the page is left, and once', () => withPage(async (page, seen) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await page.evaluate(() => {
		const now = performance.now();
		performance.now = () => now + 501;
		dispatchEvent(new Event('pagehide'));
	});
	await until('the request', () => seen.ways.length);
	await setVisible(page, 'hidden');
	assert.equal(seen.ways.length, 1);
	await untilCounted(id);
}, {clock: true}));

test('two elements with one data-event-id, as from a backend twin, count once', () => withPage(async (page) => {
	const id = randomUUID(), event = randomUUID();
	await page.goto(serve(mark(id, `data-event-id="${event}"`) + mark(id, `data-event-id="${event}"`)));
	await untilCounted(id);
	await untilLaterViewCounted(page);
	assert.equal(await totalOf(id), 1);
}));

test('a return from the back/forward cache is a new view with a new event id', () => withPage(async (page) => {
	const id = randomUUID();
	await page.goto(serve(mark(id, `data-event-id="${randomUUID()}"`)));
	await untilCounted(id);
	await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true})));
	await untilCounted(id, 2);
	assert.equal((await counted())[id].views, 1, 'within the double-click window it is a repeat');
}));

test('an element that is added later, and one that gets another content, are counted', () => withPage(async (page) => {
	const first = randomUUID(), second = randomUUID(), third = randomUUID();
	await page.goto(serve(mark(first)));
	await untilCounted(first);
	await page.evaluate((html) => document.body.insertAdjacentHTML('beforeend', html), mark(second));
	await untilCounted(second);
	await page.evaluate((id) => {
		const p = document.querySelector('p');
		p.setAttribute('data-content-id', id);
		p.textContent = 'the other one'; /* what is shown changes with it */
	}, third);
	await untilCounted(third);
	assert.equal(await totalOf(first), 1);
}));

test('an element that is taken away before 500 ms is no view', () => withPage(async (page) => {
	const gone = randomUUID(), stays = randomUUID();
	await page.goto(serve(mark(gone) + mark(stays)));
	await page.clock.runFor(200);
	await page.evaluate(() => document.querySelector('p').remove());
	await page.clock.runFor(600);
	await untilCounted(stays);
	await untilLaterViewCounted(page);
	assert.equal(await totalOf(gone), 0);
}, {clock: true}));

test('pushState and going back are page views, a fragment is none', () => withPage(async (page) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await untilCounted(id);
	await page.evaluate(() => (location.hash = 'part'));
	await page.evaluate(() => history.pushState(null, '', '?second'));
	await untilCounted(id, 2);
	await page.evaluate(() => history.back());
	await untilCounted(id, 3);
}));

test('Global Privacy Control is honoured where the page asks for it, and only there', () => withPage(async (page) => {
	const kept = randomUUID(), sent = randomUUID();
	await page.goto(serve(mark(kept), 'data-respect-privacy'));
	await page.clock.runFor(1000);
	await page.goto(serve(mark(sent)));
	await page.clock.runFor(1000);
	await untilCounted(sent);
	assert.equal(await totalOf(kept), 0);
}, {clock: true, init: () => Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})}));

test('it runs under a policy that allows scripts and connections of the site only', () => withPage(async (page, seen) => {
	const id = randomUUID();
	await page.goto(serve(mark(id), '', `<meta http-equiv="Content-Security-Policy" content="default-src 'self'">`));
	await untilCounted(id);
	assert.deepEqual(seen.log, []);
}));

/* What the agent is sent for a page: the parsed bodies. */
async function bodiesOf(page, work) {
	const bodies = [];
	await page.addInitScript(noBeacon); /* of a Blob the driver shows nothing */
	const listen = (r) => r.url().includes('/api/track-view/') && bodies.push(JSON.parse(r.postData()));
	page.on('request', listen);
	await work();
	page.off('request', listen);
	return bodies;
}

test('who opted out in localStorage is not counted, until that is taken back', () => withPage(async (page, seen) => {
	const kept = randomUUID(), sent = randomUUID();
	await page.goto(serve(''));
	await page.evaluate(() => (localStorage.footfall = 'off'));
	await page.goto(serve(mark(kept), 'data-debug data-session'));
	await page.clock.runFor(1000);
	await until('the log to say so', () => seen.log.includes('footfall: off'));
	assert.equal(await page.evaluate(() => localStorage.footfall), 'off', 'data-session leaves it alone');
	await page.evaluate(() => delete localStorage.footfall);
	await page.goto(serve(mark(sent)));
	await page.clock.runFor(1000);
	await untilCounted(sent);
	assert.equal(await totalOf(kept), 0);
}, {clock: true}));

test('data-session keeps one session until 30 minutes without an event', () => withPage(async (page) => {
	const view = async () => {
		const id = randomUUID();
		const [body] = await bodiesOf(page, async () => {
			await page.goto(serve(mark(id), 'data-session'));
			await untilCounted(id);
		});
		return body.session;
	};
	const rewind = (ms) => page.evaluate((by) => {
		const kept = localStorage.footfall;
		localStorage.footfall = kept.slice(0, 36) + (kept.slice(36) - by);
	}, ms);
	const first = await view();
	assert.match(first, /^[0-9a-f-]{36}$/);
	assert.equal(await view(), first);
	await rewind(29 * 60000);
	assert.equal(await view(), first, 'each event keeps it alive');
	await rewind(31 * 60000);
	const second = await view();
	assert.match(second, /^[0-9a-f-]{36}$/);
	assert.notEqual(second, first);
}));

test('storage that throws costs the session and not the view', () => withPage(async (page) => {
	const id = randomUUID();
	const [body] = await bodiesOf(page, async () => {
		await page.goto(serve(mark(id), 'data-session'));
		await untilCounted(id);
	});
	assert.equal(body.session, undefined);
}, {init: () => Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied'); }})}));

test('navigator.webdriver is reported', () => withPage(async (page) => {
	const id = randomUUID();
	const [body] = await bodiesOf(page, async () => {
		await page.goto(serve(mark(id)));
		await untilCounted(id);
	});
	assert.equal(body.webdriver, await page.evaluate(() => navigator.webdriver));
	assert.equal(body.webdriver, true);
}, {init: () => Object.defineProperty(Navigator.prototype, 'webdriver', {get: () => true, configurable: true})}));

test('a view of a browser that is offline is counted once when it is online again', () => withPage(async (page) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await page.context().setOffline(true);
	await page.clock.runFor(1000);
	await page.context().setOffline(false);
	await untilCounted(id);
	await untilLaterViewCounted(page);
	assert.equal(await totalOf(id), 1);
}, {clock: true}));

test('the site handed every request on', () => {
	assert.deepEqual(site.failures, []);
});

test('it stores nothing in the browser', () => withPage(async (page) => {
	const id = randomUUID();
	await page.goto(serve(mark(id)));
	await untilCounted(id);
	assert.deepEqual(await page.context().cookies(), []);
	assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
}));
