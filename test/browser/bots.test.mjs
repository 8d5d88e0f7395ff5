/* The bots page in headless Chromium against a real central with a real agent.
 *
 * Proves: what bots sent is on the page by name, and by reason where it has none, with counts that are those of the
 * ledger; rows can be found, narrowed down and sorted, by keyboard too; the place stands in the address; nothing sticks
 * out on a phone. The tests are one story. Screenshots go to `screens` beside the programs.
 */
import assert from 'node:assert/strict';
import {mkdirSync} from 'node:fs';
import http from 'node:http';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {BIN, PERSON, startBrowser, startFarm, until} from './farm.mjs';

const SCREENS = join(BIN, 'screens');
const VIDEO = '6f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f10';
const BOTS = {
	Googlebot: 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
	bingbot: 'Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)',
	GPTBot: 'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)',
	curl: 'curl/8.7.1',
	other: 'FictionalBot/1.0 (+https://bots.example/)',
};

let farm, browser, page;
const problems = [];

before(async () => {
	mkdirSync(SCREENS, {recursive: true});
	farm = await startFarm({admit: {bots: 'on'}});
	browser = await startBrowser();
	page = await (await browser.newContext({userAgent: PERSON, viewport: {width: 1280, height: 900}})).newPage();
	page.on('pageerror', (e) => problems.push(String(e)));
	page.on('console', (m) => /Content Security Policy/.test(m.text()) && problems.push(m.text()));
	await page.goto(`${farm.web}/?page=bots#token=${farm.token}`);
});

after(async () => {
	await browser?.close();
	await farm?.stop();
});

/* Datagrams of a bot, {name: times}; then waits until the central has them all. */
async function come(times) {
	const before = (await farm.api('bots')).bots;
	const sent = Object.entries(times).flatMap(([name, n]) => Array(n).fill({type: 'video', id: VIDEO, ip: '192.0.2.1', ua: BOTS[name]}));
	await farm.emit(sent);
	await until('the bots to be stored', async () => {
		await farm.flush();
		return (await farm.api('bots')).bots >= before + sent.length;
	});
}

/* A beacon with exactly these headers: fetch would add its own. */
function beacon(headers) {
	const body = JSON.stringify({content_type: 'video', content_id: VIDEO});
	return new Promise((done, fail) => {
		const request = http.request(`${farm.http}/api/track-view/`, {method: 'POST', headers: {...headers, 'Content-Length': body.length}}, (answer) => {
			let text = '';
			answer.on('data', (d) => (text += d)).on('end', () => done(JSON.parse(text)));
		});
		request.on('error', fail);
		request.end(body);
	});
}

const sees = (what, probe) => until(`the page to show ${what}`, probe);
const has = (text) => sees(text, async () => (await page.locator('body').innerText()).includes(text));
/* Rows of the table by name, as [name, reason, events, share]. */
const rows = () => page.locator('table.bots tbody tr').evaluateAll((all) => all.map((tr) => [...tr.cells].map((c) => c.innerText.trim())));
const names = async () => (await rows()).map((row) => row[0]);
const same = async (a, b) => JSON.stringify(await a) === JSON.stringify(b);
const search = () => decodeURIComponent(new URL(page.url()).search);

async function screens(name) {
	for (const colorScheme of ['light', 'dark']) {
		await page.emulateMedia({colorScheme, reducedMotion: 'reduce'});
		await page.mouse.move(0, 0);
		await page.screenshot({path: join(SCREENS, `${name}-${colorScheme}.png`), fullPage: true});
	}
	await page.emulateMedia({colorScheme: 'light'});
}

test('without bots the page says that there are none', async () => {
	await has('No bots in these days');
	assert.equal(await page.title(), 'Bots · Footfall');
	assert.equal(await page.locator('table').count(), 0);
	await screens('bots-empty');
});

test('bots appear without a reload, by name and by reason, and add up to the ledger', async () => {
	assert.deepEqual(await beacon({'User-Agent': PERSON, Accept: '*/*', 'Accept-Language': 'en'}), {success: true, tracked: true});
	for (let i = 0; i < 3; i++) {
		assert.deepEqual(await beacon({'User-Agent': PERSON, Accept: '*/*', 'Sec-Fetch-Mode': 'cors'}), {success: true, tracked: false});
	}
	await come({Googlebot: 30, bingbot: 12, GPTBot: 12, curl: 2, other: 1});
	await sees('every row', async () => same(rows(), [
		['Googlebot', 'User-Agent', '30', '50 %'],
		['bingbot', 'User-Agent', '12', '20 %'],
		['GPTBot', 'User-Agent', '12', '20 %'],
		['Headers', 'Headers', '3', '5 %'],
		['curl', 'User-Agent', '2', '3 %'],
		['Other User-Agents', 'User-Agent', '1', '2 %'],
	]));
	await has('60 of 61 events received, 98 %');
	const {totals} = await farm.api('ledger');
	assert.equal(totals.bot, 60);
	assert.equal(totals.received, 61);
	const reasons = await page.locator('table.reasons tbody tr').evaluateAll((all) => all.map((tr) => tr.cells[1].innerText));
	assert.deepEqual(reasons, ['57', '0', '3', '0', '0']);
	await screens('bots');
});

test('a press on a heading sorts, a second one turns it round, by keyboard too', async () => {
	const order = (name) => page.locator('table.bots').getByRole('columnheader', {name}).getAttribute('aria-sort');
	assert.equal(await order('Events'), 'descending');
	await page.getByRole('button', {name: 'Bot', exact: true}).click();
	await sees('names from A on', () => same(names(), ['bingbot', 'curl', 'Googlebot', 'GPTBot', 'Headers', 'Other User-Agents']));
	assert.deepEqual([await order('Bot'), await order('Events')], ['ascending', null]);
	assert.equal(search(), '?page=bots&sort=name');
	await page.keyboard.press('Enter');
	await sees('names from Z on', async () => (await names())[0] === 'Other User-Agents');
	assert.equal(await order('Bot'), 'descending');
	await page.getByRole('button', {name: 'Events'}).press('Space');
	await sees('the largest first', async () => (await names())[0] === 'Googlebot');
	await page.getByRole('button', {name: 'Events'}).press('Space');
	await sees('the smallest first', async () => (await names())[0] === 'Other User-Agents');
	await page.getByRole('button', {name: 'Events'}).press('Space');
	assert.equal(search(), '?page=bots');
});

test('a part of a name finds its rows, and the address keeps it', async () => {
	await page.getByRole('searchbox', {name: 'Find'}).fill('BOT');
	await sees('all bots', () => same(names(), ['Googlebot', 'bingbot', 'GPTBot']));
	assert.equal(await page.getByRole('search').getByRole('status').innerText(), '3 of 6 rows');
	assert.equal(search(), '?page=bots&find=BOT');
	await page.reload();
	await sees('the same after a reload', () => same(names(), ['Googlebot', 'bingbot', 'GPTBot']));
	await page.getByRole('searchbox', {name: 'Find'}).fill('nobody');
	await has('Nothing matches.');
	await page.getByRole('button', {name: 'Show all 6 rows'}).click();
	await sees('all rows', async () => (await names()).length === 6);
	assert.equal(await page.inputValue('input[name=find]'), '');
});

test('a reason narrows down, and going back undoes it', async () => {
	await page.selectOption('select[name=reason]', 'headers');
	await sees('the one row', () => same(names(), ['Headers']));
	assert.equal(search(), '?page=bots&reason=headers');
	await page.goBack();
	await sees('all rows', async () => (await names()).length === 6);
	assert.equal(await page.inputValue('select[name=reason]'), '');
});

test('the numbers follow the days, and new bots come in while somebody looks', async () => {
	await page.click('button:text-is("Today")');
	await come({curl: 40});
	await sees('curl first', async () => (await rows())[0].slice(0, 3).join() === 'curl,User-Agent,42');
	await page.fill('input[name=from]', '2020-01-01');
	await page.fill('input[name=to]', '2020-01-02');
	await has('No bots in these days');
	await page.click('button:text-is("28 days")');
	await sees('all rows', async () => (await names()).length === 6);
});

test('with more than one node, one can be chosen', async () => {
	assert.equal(await page.locator('select[name=node]').count(), 0);
	await page.route('**/api/v1/nodes', async (route) => {
		const {nodes} = await (await route.fetch()).json();
		await route.fulfill({json: {nodes: [...nodes, {...nodes[0], node: 'web-2'}]}});
	});
	await page.waitForSelector('select[name=node]');
	await page.selectOption('select[name=node]', 'web-2');
	await has('No bots in these days');
	assert.equal(search(), '?page=bots&node=web-2');
	await page.selectOption('select[name=node]', 'web-1');
	await sees('all rows', async () => (await names()).length === 6);
	await page.selectOption('select[name=node]', '');
	assert.equal(search(), '?page=bots');
	await page.unroute('**/api/v1/nodes');
});

test('a thousand rows are not all drawn, and those that are not are said', async () => {
	const many = Array.from({length: 1000}, (_, i) => ({name: `robot-${1000 + i}`, reason: 'user_agent', events: 2000 - i}));
	const sum = many.reduce((n, row) => n + row.events, 0);
	await page.route('**/api/v1/bots?*', async (route) => {
		const answer = await route.fetch();
		const body = await answer.json();
		await route.fulfill({json: {...body, rows: many, bots: sum, received: sum, more: 3}});
	});
	await sees('the first rows', async () => (await names()).length === 200);
	await has('800 more rows with 1,120,400 events; find one by its name.');
	await has('3 rows are left out');
	await page.getByRole('searchbox', {name: 'Find'}).fill('robot-1999');
	await sees('the last row', () => same(names(), ['robot-1999']));
	await page.getByRole('searchbox', {name: 'Find'}).fill('');
	await page.unroute('**/api/v1/bots?*');
	await sees('what there is again', async () => (await names()).length === 6);
});

test('at 360 pixels nothing sticks out', async () => {
	await page.setViewportSize({width: 360, height: 740});
	await sees('a page as wide as the screen', () => page.evaluate(() => document.documentElement.scrollWidth <= 360));
	await screens('bots-phone');
	await page.setViewportSize({width: 1280, height: 900});
});

test('no page broke its policy or threw', () => {
	assert.deepEqual(problems, []);
});
