// drive.mjs -- proto/clients/node for the tests; see drive.py.
import fs from 'node:fs';
import path from 'node:path';
import { Client, eventId, wire } from '../../proto/clients/node/footfall.cjs';

const KEYS = { event_id: 'eid', name: 'ev', value: 'val', ts_ms: 'ts', session: 'sess', uuid: 'id', slug: 'id' };

function eventOf(meaning) {
	const event = Object.fromEntries(Object.entries(meaning).map(([key, value]) => [KEYS[key] ?? key, value]));
	if (meaning.referrer)
		event.ref = `http://${meaning.referrer}`;
	return event;
}

const bytes = (hex) => Buffer.from(hex.replace(/\s/g, ''), 'hex');

function made(vector) {
	if (vector.format === 'datagram')
		return wire.encode(eventOf(vector.event));
	if (vector.format === 'envelope')
		return wire.seal(vector.key_name, bytes(vector.key), bytes(vector.boot).reverse(), vector.seq,
			vector.time_ms, bytes(vector.payload));
	return null;
}

function golden(folder) {
	let n = 0;
	for (const name of fs.readdirSync(folder).filter((file) => file.endsWith('.json'))) {
		const file = path.join(folder, name);
		const it = made(JSON.parse(fs.readFileSync(file, 'utf8')));
		if (!it)
			continue;
		if (!it.equals(bytes(fs.readFileSync(file.replace(/json$/, 'hex'), 'latin1'))))
			throw new Error(name);
		n++;
	}
	console.log('ok', n);
}

async function send(address, key, id) {
	const views = new Client(address, key === '-' ? {} : { key });
	views.event({
		type: 'video', id: eventId(), eid: id, ev: 'play', val: 2.5, site: 'shop', ip: '192.0.2.1',
		ua: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
		ref: 'https://a.example/b?c', sess: 's-é',
	});
	views.batch(Array.from({ length: 100 }, () => ({ type: 'pdf', id: eventId() })));
	views.event({ id: 'no type' });
	await views.flush();
	console.log('sent', views.sent, 'failed', views.failed);
	new Client(address, key === '-' ? {} : { key }).event({ type: 'static', id: eventId() });
}

function twin(address, id, content) {
	new Client(address).event({ type: 'video', id: content, eid: id });
}

const [command, ...rest] = process.argv.slice(2);
await { golden, send, twin }[command](...rest);
