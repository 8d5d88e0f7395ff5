/* The dashboard in headless Chromium against a real central with a real agent.
 *
 * Proves what an operator sees: nothing yet, then the numbers without a reload, for the chosen days and type; who gets
 * in; and what is said when the central is gone. The tests are one story, each going on where the last one ended.
 * Screenshots go to `screens` beside the programs.
 */
import assert from 'node:assert/strict';
import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {BIN, PERSON, startBrowser, startFarm, until} from './farm.mjs';

const SCREENS = join(BIN, 'screens');
const PASSWORD = 'correct horse battery';
const VIDEO = '6f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f10';
const AUDIO = '0b9e4d52-8c1f-4e7a-b6d3-2f5a91c7e834';
const PDF = 'c47d10ea-3b26-4f98-8e05-7a1d6b93f2c0';
const DAY_MS = 86400000;
const AUDIENCE = [
	PERSON,
	'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36',
	'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
	'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Mobile Safari/537.36',
	'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15',
	'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
	'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36 Edg/148.0.0.0',
	'Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
];

let farm, browser, context, page, today;
const problems = [];

const day = (ago) => new Date(Date.parse(today) - ago * DAY_MS).toISOString().slice(0, 10);

before(async () => {
	mkdirSync(SCREENS, {recursive: true});
	farm = await startFarm({admit: {max_age: '60d'}});
	await farm.central.call(['user', 'add', 'ada'], {stdin: PASSWORD + '\n'});
	today = (await farm.api('me')).today;
	browser = await startBrowser();
	context = await browser.newContext({userAgent: PERSON, viewport: {width: 1280, height: 900}});
	page = await context.newPage();
	page.on('pageerror', (e) => problems.push(String(e)));
	page.on('console', (m) => /Content Security Policy/.test(m.text()) && problems.push(m.text()));
	page.on('request', (r) => {
		if (!r.url().startsWith(farm.web) && !r.url().startsWith('data:')) problems.push(`asked for ${r.url()}`);
	});
});

after(async () => {
	await browser?.close();
	await farm?.stop();
});

/* Events at noon of the days before today, and just now for today: {ago, type, id, ip, ua, ref}. */
async function happen(events) {
	const told = events.map(({ago = 0, type = 'video', id = VIDEO, ip = '192.0.2.1', ua = PERSON, ref}) => ({
		type, id, ip, ua, ...(ref && {ref}),
		ts: ago ? Date.parse(day(ago)) + DAY_MS / 2 : Date.now(),
	}));
	const before = (await farm.api('summary', {from: day(50), to: today})).total_views;
	await farm.emit(told);
	/* a datagram that was sent may not have been read yet when the flush begins */
	await until('the events to be stored', async () => {
		await farm.flush();
		return (await farm.api('summary', {from: day(50), to: today})).total_views >= before + events.length;
	});
}

const tile = (label) => page.locator('.tile', {has: page.locator(`dt:text-is("${label}")`)}).locator('strong').innerText();
const sees = (what, probe) => until(`the page to show ${what}`, probe);
const has = (text) => sees(text, async () => (await page.locator('body').innerText()).includes(text));

async function signIn(password) {
	await page.fill('#user', 'ada');
	await page.fill('#password', password);
	await page.click('button[type=submit]');
}

async function screens(name, what = page) {
	for (const colorScheme of ['light', 'dark']) {
		await what.emulateMedia({colorScheme, reducedMotion: 'reduce'});
		await what.mouse.move(0, 0);
		await what.screenshot({path: join(SCREENS, `${name}-${colorScheme}.png`), fullPage: true});
	}
	await what.emulateMedia({colorScheme: 'light'});
}

test('a stranger gets the sign-in page and no number', async () => {
	await page.goto(farm.web + '/');
	await page.waitForSelector('form.login');
	assert.equal(await page.locator('.tile').count(), 0);
	await screens('login');
});

test('a wrong password is refused with words', async () => {
	await signIn('wrong');
	await has('The name or the password is not right.');
	assert.equal(await page.locator('.tile').count(), 0);
});

test('the right password opens an overview that says it is empty', async () => {
	await signIn(PASSWORD);
	await has('No Analytics Data Yet');
	await has('Content views will appear here once visitors start accessing your library.');
	await has('No daily view data available yet');
	assert.equal(await tile('Views'), '0');
	await screens('empty');
});

test('views appear without a reload', async () => {
	/* three visitors on three days, the last of them coming back to the same video at once */
	await happen([
		{ago: 3, ip: '192.0.2.1', ref: 'https://search.example/q?x=1'},
		{ago: 3, ip: '192.0.2.2', type: 'audio', id: AUDIO},
		{ago: 1, ip: '192.0.2.1'},
		{ip: '192.0.2.3', type: 'pdf', id: PDF},
		{ip: '192.0.2.3'},
		{ip: '192.0.2.3'},
	]);
	await sees('6 views in all', async () => (await tile('Total views').catch(() => '')) === '6');
	assert.equal(await tile('Views'), '5');
	assert.equal(await tile('Unique views'), '5');
	assert.equal(await tile('Visitors'), '4');
	assert.equal(await page.locator('.top-content tbody tr').count(), 3);
	const first = await page.locator('.top-content tbody tr').first().innerText();
	assert.match(first, new RegExp(VIDEO));
	assert.match(first, /\b3\b/);
	await page.waitForSelector('.plot canvas');
	await has('search.example');
});

test('the arrow keys read the chart day by day', async () => {
	await page.focus('.focusable');
	await page.keyboard.press('End');
	await sees('the last day', async () => /2 views/.test(await page.locator('.readout').innerText()));
	for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowLeft');
	await sees('three days ago', async () => /2 views\s*2 visitors/.test(await page.locator('.readout').innerText()));
	await page.keyboard.press('Escape');
});

test('a day without a view is not drawn as one that is unknown', async () => {
	const {points} = await farm.api('series', {from: day(3), to: today, grain: 'day'});
	assert.equal(points.length, 4);
	assert.deepEqual([points[0].views, points[2].views, points[3].views], [2, 1, 2]);
	await page.click('summary:has-text("The same as a table")');
	assert.ok((await page.locator('.as-table tbody tr').count()) >= 4);
	await page.click('summary:has-text("The same as a table")');
});

test('the chosen days stand in the address and change every number', async () => {
	await page.fill('input[name=from]', day(3));
	await page.fill('input[name=to]', day(3));
	await sees('the views of that day', async () => (await tile('Views')) === '2' && (await tile('Visitors')) === '2');
	assert.equal(new URL(page.url()).search, `?from=${day(3)}&to=${day(3)}`);
	await has('Hourly views and visitors');
	await page.reload();
	await sees('the same after a reload', async () => (await tile('Views').catch(() => '')) === '2');
	await page.click('button:text-is("28 days")');
	await sees('all days again', async () => (await tile('Views')) === '5');
	assert.equal(new URL(page.url()).search, '');
});

test('the type filter narrows, and going back undoes it', async () => {
	await page.selectOption('select[name=type]', 'audio');
	await sees('audio only', async () => (await tile('Views')) === '1');
	assert.equal(new URL(page.url()).search, '?type=audio');
	assert.equal(await page.locator('.top-content tbody tr').count(), 1);
	await page.goBack();
	await sees('all types', async () => (await tile('Views')) === '5');
	assert.equal(await page.inputValue('select[name=type]'), '');
});

/* Four weeks of a small library, so that the pictures show what the pages are for. The same every time. */
function library() {
	let seed = 7;
	const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
	const few = (n) => Math.floor(n * random() ** 2); /* small numbers more often, as audiences are */
	const types = ['video', 'audio', 'video', 'pdf', 'static', 'video', 'audio', 'pdf', 'video'];
	const refs = [undefined, 'https://search.example/', 'https://news.example/', 'https://wiki.example/a', 'https://mail.example/'];
	const events = [];
	for (let ago = 1; ago < 28; ago++) {
		const weekend = new Date(day(ago)).getUTCDay() % 6 === 0;
		const n = (weekend ? 16 : 34) + Math.floor(9 * Math.sin(ago / 4)) + Math.floor(8 * random());
		for (let i = 0; i < n; i++) {
			const k = few(9);
			events.push({
				ago, type: types[k], id: `6f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f2${k}`, ip: `198.51.100.${few(60)}`,
				ua: AUDIENCE[few(AUDIENCE.length)], ref: refs[few(refs.length)],
			});
		}
	}
	return events;
}

test('screenshots of the overview in light and dark', async () => {
	const events = library();
	await happen(events);
	const {total_views: total} = await farm.api('summary', {from: day(27), to: today});
	await sees('them all', async () => (await tile('Total views')) === total.toLocaleString('en'));
	await screens('overview');
});

test('at 360 pixels nothing sticks out', async () => {
	await page.setViewportSize({width: 360, height: 740});
	const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
	await sees('the chart in its new width', async () => (await wide()) <= 360);
	await screens('phone');
	await page.setViewportSize({width: 1280, height: 900});
});

test('the nodes page shows the node, and that the books balance', async () => {
	await page.click('nav a:text-is("Nodes")');
	await has('web-1');
	await has('The books balance');
	assert.equal(new URL(page.url()).search, '?page=nodes');
	const {totals} = await farm.api('ledger', {from: day(27), to: today});
	assert.match(await page.locator('.ledger tfoot').innerText(), new RegExp(totals.received.toLocaleString('en')));
	await screens('nodes');
});

test('a ready link signs in and leaves no token in the address', async () => {
	const other = await browser.newContext({userAgent: PERSON});
	const tab = await other.newPage();
	await tab.goto(`${farm.web}/#token=${farm.token}`);
	await tab.waitForSelector('.tile');
	assert.equal(tab.url(), farm.web + '/');
	const cookies = await other.cookies();
	assert.ok(cookies.length > 0 && cookies.every((c) => c.httpOnly), 'scripts cannot read the session');
	await other.close();
});

test('a link whose token is not valid ends at the sign-in page', async () => {
	const other = await browser.newContext({userAgent: PERSON});
	const tab = await other.newPage();
	await tab.goto(`${farm.web}/#token=${'0'.repeat(64)}`);
	await tab.waitForSelector('form.login');
	assert.match(await tab.locator('body').innerText(), /This link is not valid/);
	assert.equal(tab.url(), farm.web + '/');
	await other.close();
});

test('signing out ends the session', async () => {
	await page.click('button:text-is("Sign out")');
	await page.waitForSelector('form.login');
	await page.reload();
	await page.waitForSelector('form.login');
	await signIn(PASSWORD);
	await has('web-1');
});

test('when the central is gone the numbers stay, and the page says so', async () => {
	await page.click('nav a:text-is("Overview")');
	await page.waitForSelector('.top-content');
	const views = await tile('Views');
	await farm.central.stop();
	await has('The central does not answer; showing what was loaded at');
	assert.equal(await tile('Views'), views);
	await screens('away');
});

test('no page broke its policy, asked elsewhere or threw', () => {
	assert.deepEqual(problems, []);
});
