/* farm.mjs -- the real programs, a browser and a small web server, for tests in a browser.
 *
 * Every port is the kernel's choice: a program writes its addresses to `listen` in its state or data
 * directory. Waiting is polling with a deadline. FOOTFALL_BIN names the folder with the programs (default
 * build/release), FOOTFALL_PATIENCE the seconds after which waiting is in vain.
 */
import {spawn} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import http from 'node:http';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {chromium} from 'playwright-core';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BIN = resolve(ROOT, process.env.FOOTFALL_BIN || 'build/release');
export const PATIENCE_MS = 1000 * Number(process.env.FOOTFALL_PATIENCE || 60);
export const CHROMIUM = process.env.FOOTFALL_CHROMIUM || '/usr/bin/chromium';

/* Nothing leaves the machine, and nothing needs what a container lacks. */
export const CHROMIUM_ARGS = [
	'--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync',
];

/* A browser that says what it is but not that it has no window: the agent's rules for bots have tests of their own. */
export const PERSON = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36';

/* Polls until probe returns something true, which is returned. A loaded machine may take all the patience for a single
 * probe that began too early: so there are at least three. */
export async function until(what, probe) {
	const deadline = Date.now() + PATIENCE_MS;
	for (let tries = 1;; tries++) {
		const found = await probe();
		if (found) return found;
		if (tries >= 3 && Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
		await new Promise((go) => setTimeout(go, 50));
	}
}

function quote(value) {
	if (Array.isArray(value)) return `{${value.map(quote).join(', ')}}`;
	return `"${String(value).replace(/\\/g, '\\\\').replace(/"/g, '\\"')}"`;
}

function confText(sections) {
	return Object.entries(sections).map(([name, options]) => {
		const lines = Object.entries(options).map(([key, value]) => `  ${key} = ${quote(value)}\n`);
		return `${name} {\n${lines.join('')}}\n`;
	}).join('');
}

class Program {
	constructor(binary, dir, listenDir, sections) {
		Object.assign(this, {binary: join(BIN, binary), dir, listenDir});
		mkdirSync(dir, {recursive: true});
		this.conf = join(dir, 'footfall.conf');
		this.log = join(dir, 'log');
		writeFileSync(this.conf, confText(sections));
	}

	async start() {
		const log = openSync(this.log, 'a');
		const listen = join(this.listenDir, 'listen');
		rmSync(listen, {force: true});
		this.code = undefined;
		this.process = spawn(this.binary, ['run', '-c', this.conf], {stdio: ['ignore', log, log]});
		this.ended = new Promise((done) => this.process.once('close', (code, signal) => {
			this.code = code ?? signal;
			done(this.code);
		}));
		await until(`${this.binary} to listen`, () => {
			if (this.code !== undefined) throw new Error(`${this.binary} ended with ${this.code}:\n${readFileSync(this.log, 'utf8').slice(-4000)}`);
			return existsSync(listen) && readFileSync(listen, 'utf8').includes('=');
		});
		this.at = Object.fromEntries(readFileSync(listen, 'utf8').trim().split('\n').map((line) => {
			const cut = line.indexOf('=');
			return [line.slice(0, cut), line.slice(cut + 1)];
		}));
		const ready = this.at.admin || this.at.central;
		await until(`${this.binary} to be ready`, () => fetch(`http://${ready}/readyz`).then((a) => a.ok, () => false));
		return this;
	}

	/* A subcommand of the program; its standard output. */
	async call(words, {stdin = ''} = {}) {
		const child = spawn(this.binary, [...words, '-c', this.conf], {stdio: ['pipe', 'pipe', 'pipe']});
		let out = '', err = '';
		child.stdout.on('data', (d) => (out += d));
		child.stderr.on('data', (d) => (err += d));
		child.stdin.on('error', () => {}); /* a program that reads none may be gone already */
		child.stdin.end(stdin);
		const code = await new Promise((done) => child.once('close', done));
		if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}: ${err}${out}`);
		return out.trim();
	}

	async stop(signal = 'SIGTERM') {
		if (this.process && this.code === undefined) {
			this.process.kill(signal);
			await this.ended;
		}
		return this.code;
	}
}

/* One central and one agent that forwards to it. `http` and `admit` are the agent's sections. */
export async function startFarm({http: httpOptions = {}, admit = {}, central: centralOptions = {}} = {}) {
	const dir = mkdtempSync(join(tmpdir(), 'footfall-browser-'));
	const data = join(dir, 'central', 'data'), state = join(dir, 'agent', 'state');
	mkdirSync(data, {recursive: true, mode: 0o700});
	mkdirSync(state, {recursive: true, mode: 0o700});
	const central = new Program('footfall-central', join(dir, 'central'), data, {
		central: {listen: ['127.0.0.1:0'], data_dir: data, time_zone: 'UTC', cache: '16m', ...centralOptions},
	});
	let agent;
	const farm = {
		dir, central,
		async stop() {
			await agent?.stop();
			await central.stop();
			rmSync(dir, {recursive: true, force: true});
		},
	};
	try {
		await central.start();
		const tokenFile = join(dir, 'agent', 'token');
		writeFileSync(tokenFile, (await central.call(['node', 'add', 'web-1'])) + '\n', {mode: 0o600});
		farm.token = await central.call(['token', 'add', 'tests', '--scope', 'read']);
		agent = new Program('footfall-agent', join(dir, 'agent'), state, {
			node: {name: 'web-1', state_dir: state},
			http: {listen: ['127.0.0.1:0'], ...httpOptions},
			udp: {listen: ['127.0.0.1:0']},
			admin: {listen: '127.0.0.1:0'},
			admit: {rate: 'off', bots: 'off', ...admit},
			forward: {central: `http://${central.at.central}`, token_file: tokenFile},
		});
		await agent.start();
	} catch (e) {
		await farm.stop();
		throw e;
	}
	return Object.assign(farm, {
		agent,
		http: `http://${agent.at.http}`,
		web: `http://${central.at.central}`,
		flush: () => agent.call(['flush']),
		emit: (events) => agent.call(['emit', '--to', agent.at.udp, '-'], {stdin: events.map((e) => JSON.stringify(e) + '\n').join('')}),
		async api(what, params = {}) {
			const url = `http://${central.at.central}/api/v1/${what}?${new URLSearchParams(params)}`;
			const answer = await fetch(url, {headers: {Authorization: `Bearer ${farm.token}`}});
			if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
			return answer.json();
		},
	});
}

/* Serves pages by path, and hands /api/ and /js/ on to `upstream` as a site's own web server would. A page is its text,
 * or {html, headers}. `hits` has each request for a page, `beacons` the body of each that was handed on,
 * as soon as it was answered or could not be. */
export async function startSite() {
	const pages = new Map();
	const site = {pages, upstream: null, failures: [], hits: [], beacons: []};
	const server = http.createServer((req, res) => {
		const path = req.url.split('?')[0];
		if (/^\/(api|js)\//.test(path)) return proxy(site, req, res);
		const page = path === '/favicon.ico' ? '' : pages.get(path);
		const {html, headers} = typeof page === 'object' ? page : {html: page};
		site.hits.push({path, headers: req.headers});
		res.writeHead(html === undefined ? 404 : 200, {'Content-Type': 'text/html; charset=utf-8', ...headers});
		return res.end(html === undefined ? '' : html);
	});
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	site.origin = `http://127.0.0.1:${server.address().port}`;
	site.stop = () => {
		server.closeAllConnections();
		return new Promise((done) => server.close(done));
	};
	return site;
}

function proxy(site, req, res) {
	const {upstream} = site;
	const headers = {...req.headers, 'x-forwarded-for': req.socket.remoteAddress};
	let body = '';
	const handedOn = () => body && site.beacons.push(body);
	/* A connection of its own each: one that is kept may be closed at the other end just when it is used again. */
	const onward = http.request(upstream + req.url, {method: req.method, headers, agent: false}, (answer) => {
		res.writeHead(answer.statusCode, answer.headers);
		answer.pipe(res);
		handedOn();
	});
	onward.on('error', (e) => {
		handedOn();
		site.failures.push(`${req.method} ${req.url}: ${e.message}`);
		res.destroy();
	});
	req.on('data', (d) => (body += d));
	req.pipe(onward);
}

export function startBrowser() {
	return chromium.launch({executablePath: CHROMIUM, args: CHROMIUM_ARGS});
}

/* A port of loopback on which nobody answers. */
export async function closedPort() {
	const server = http.createServer();
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	const {port} = server.address();
	await new Promise((done) => server.close(done));
	return port;
}
