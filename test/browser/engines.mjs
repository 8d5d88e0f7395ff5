/* engines.mjs -- three browsers behind one small front: Debian's Chromium, Firefox ESR and WebKitGTK.
 *
 * An engine opens tabs; a tab goes to an address, runs an expression and is closed. Chromium and Firefox are
 * driven by puppeteer-core (CDP, BiDi), since playwright-core shows every tab as if it were in front, which is
 * what half of the matrix is about; WebKit by plain WebDriver calls, with a display of Xvfb's.
 * What an engine cannot do throws Cannot with the reason, which the table prints.
 */
import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import puppeteer from 'puppeteer-core';
import {CHROMIUM, CHROMIUM_ARGS, closedPort, PERSON, until} from './farm.mjs';

export class Cannot extends Error {}

const FIREFOX = process.env.FOOTFALL_FIREFOX || '/usr/bin/firefox-esr';

function puppetTab(page) {
	return {
		goto: (url) => page.goto(url, {waitUntil: 'load'}),
		run: (expression) => page.evaluate(expression),
		offline: (is) => page.setOfflineMode(is),
		front: () => page.bringToFront(),
		close: () => page.close(),
	};
}

async function puppetEngine(name, options) {
	const browser = await puppeteer.launch({headless: true, protocolTimeout: 60000, ...options});
	return {
		name,
		version: (await browser.version()).replace(/^\w+\//, ''),
		async open({background = false} = {}) {
			return puppetTab(await browser.newPage({type: 'tab', background}));
		},
		close: () => browser.close(),
	};
}

function startChromium() {
	return puppetEngine('Chromium', {
		executablePath: CHROMIUM,
		/* They say who they are, but not that they have no window. */
		args: [...CHROMIUM_ARGS, `--user-agent=${PERSON}`],
		/* What a person's browser does: going back restores the page. */
		ignoreDefaultArgs: ['--disable-back-forward-cache'],
	});
}

function startFirefox() {
	return puppetEngine('Firefox', {browser: 'firefox', executablePath: FIREFOX});
}

/* ---- WebKit */

function miniBrowser() {
	for (const arch of readdirSync('/usr/lib')) {
		for (const api of ['webkit2gtk-4.1', 'webkit2gtk-4.0', 'webkitgtk-6.0']) {
			const path = join('/usr/lib', arch, api, 'MiniBrowser');
			if (existsSync(path)) return path;
		}
	}
	throw new Error('no MiniBrowser; test/lib/deps browsers installs it');
}

/* Xvfb writes the number of its display, which is the first that is free. */
async function startDisplay() {
	const child = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1280x800x24', '-nolisten', 'tcp'], {stdio: ['ignore', 'ignore', 'ignore', 'pipe']});
	let number = '', failure;
	child.on('error', (e) => (failure = e));
	child.stdio[3].on('data', (d) => (number += d));
	await until('Xvfb', () => {
		if (failure) throw failure;
		return number.endsWith('\n');
	});
	return {child, display: `:${number.trim()}`};
}

async function ended(child) {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const done = new Promise((go) => child.once('close', go));
	child.kill();
	await done;
}

async function startWebKit() {
	const {child: xvfb, display} = await startDisplay();
	const home = mkdtempSync(join(tmpdir(), 'footfall-webkit-'));
	const port = await closedPort();
	const driver = spawn('WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], {
		env: {...process.env, DISPLAY: display, HOME: home, XDG_RUNTIME_DIR: home, GDK_BACKEND: 'x11', LIBGL_ALWAYS_SOFTWARE: '1', WEBKIT_DISABLE_DMABUF_RENDERER: '1'},
		stdio: 'ignore',
	});
	const url = `http://127.0.0.1:${port}`;

	async function call(method, path, body) {
		const answer = await fetch(url + path, {method, body: method === 'POST' ? JSON.stringify(body || {}) : undefined});
		const {value} = await answer.json();
		if (!answer.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
		return value;
	}

	await until('WebKitWebDriver', () => call('GET', '/status').then(() => true, () => false));
	const {sessionId, capabilities} = await call('POST', '/session', {capabilities: {alwaysMatch: {
		'webkitgtk:browserOptions': {binary: miniBrowser(), args: ['--automation']},
	}}});
	const session = `/session/${sessionId}`;
	const first = await call('GET', `${session}/window`);

	/* Commands go to one tab at a time, which is not brought to the front by that. */
	function tab(handle) {
		const at = async (method, path, body) => {
			await call('POST', `${session}/window`, {handle});
			return call(method, session + path, body);
		};
		return {
			goto: (to) => at('POST', '/url', {url: to}),
			run: (expression) => at('POST', '/execute/sync', {script: `return (${expression})`, args: []}),
			offline: () => { throw new Cannot('has no way in WebDriver to be taken offline'); },
			front: () => {},
			close: () => at('DELETE', '/window'),
		};
	}
	return {
		name: 'WebKit',
		version: capabilities.browserVersion,
		cacheless: 'keeps no cache when it is driven (the counts were checked)',
		/* A new tab stays behind the one in front; a window of its own is seen. */
		async open({background = false} = {}) {
			await call('POST', `${session}/window`, {handle: first});
			return tab((await call('POST', `${session}/window/new`, {type: background ? 'tab' : 'window'})).handle);
		},
		async close() {
			await call('DELETE', session).catch(() => {});
			await ended(driver);
			await ended(xvfb);
			rmSync(home, {recursive: true, force: true});
		},
	};
}

export const ENGINES = {chromium: startChromium, firefox: startFirefox, webkit: startWebKit};
