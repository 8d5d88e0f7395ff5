'use strict';
/* footfall.cjs -- reports events to a Footfall agent. One file, no dependency, Node 16 or later; for
 * require and import alike.
 *
 *     const { Client } = require('./footfall.cjs');
 *     const views = new Client('127.0.0.1:8125');
 *     views.event({ type: 'video', id: video.uuid, eid: eventId, ip: req.ip, ua: req.get('user-agent') });
 *
 * Nothing here blocks or throws: an event that cannot be handed to the kernel is counted in `failed`,
 * and `error` says why the last one was. A client keeps no process alive; await close() hands over
 * what is still on its way.
 */
const crypto = require('node:crypto');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');

const DATAGRAM_MAX = 8192;
const REMOTE_MAX = 1400; // fits an Ethernet frame: a lost fragment would lose the whole datagram
const EVENTS_MAX = 64;
const WAITING_MAX = 1024; // datagrams that the kernel has no room for, or whose address is looked up

/** A new event id, as text: for data-event-id in a page and eid here. */
exports.eventId = () => crypto.randomUUID();

/* -- BLAKE2b (RFC 7693) with a key of 32 bytes and a digest of 16, for messages that are not empty.
 * A 64-bit word is two numbers of 32, the lower one first: node's own has no key, BigInt is slow. -- */

const IV = Uint32Array.of(
	0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a,
	0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19,
);
const SIGMA = [
	[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
	[14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
	[11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
	[7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
	[9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
	[2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
	[12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
	[13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
	[6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
	[10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
const LANES = [
	[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
	[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];
const v = new Uint32Array(32);
const m = new Uint32Array(32);

function add(a, low, high) {
	const sum = v[2 * a] + low;
	v[2 * a] = sum;
	v[2 * a + 1] = v[2 * a + 1] + high + (sum > 0xffffffff ? 1 : 0);
}

/** v[a] = (v[a] ^ v[b]) turned right by n, of which n is 32, 24, 16 or 63. */
function turn(a, b, n) {
	let low = v[2 * a] ^ v[2 * b];
	let high = v[2 * a + 1] ^ v[2 * b + 1];
	if (n >= 32) {
		[low, high] = [high, low];
		n -= 32;
	}
	v[2 * a] = n ? low >>> n | high << 32 - n : low;
	v[2 * a + 1] = n ? high >>> n | low << 32 - n : high;
}

function mix([a, b, c, d], x, y) {
	add(a, v[2 * b], v[2 * b + 1]);
	add(a, m[2 * x], m[2 * x + 1]);
	turn(d, a, 32);
	add(c, v[2 * d], v[2 * d + 1]);
	turn(b, c, 24);
	add(a, v[2 * b], v[2 * b + 1]);
	add(a, m[2 * y], m[2 * y + 1]);
	turn(d, a, 16);
	add(c, v[2 * d], v[2 * d + 1]);
	turn(b, c, 63);
}

function compress(h, block, total, last) {
	for (let i = 0; i < 32; i++) {
		m[i] = block.readUInt32LE(4 * i);
		v[i] = i < 16 ? h[i] : IV[i - 16];
	}
	v[24] ^= total;
	if (last) {
		v[28] = ~v[28];
		v[29] = ~v[29];
	}
	for (let round = 0; round < 12; round++) {
		const s = SIGMA[round % 10];
		for (let i = 0; i < 8; i++)
			mix(LANES[i], s[2 * i], s[2 * i + 1]);
	}
	for (let i = 0; i < 16; i++)
		h[i] ^= v[i] ^ v[i + 16];
}

function tag(key, message) {
	const h = IV.slice();
	const total = 128 + message.length;
	const blocks = Buffer.alloc(Math.ceil(total / 128) * 128);
	key.copy(blocks);
	message.copy(blocks, 128);
	h[0] ^= 0x01010000 ^ 32 << 8 ^ 16;
	for (let at = 0; at < blocks.length; at += 128) {
		const last = at + 128 === blocks.length;
		compress(h, blocks.subarray(at, at + 128), last ? total : at + 128, last);
	}
	const digest = Buffer.alloc(16);
	for (let i = 0; i < 4; i++)
		digest.writeUInt32LE(h[i], 4 * i);
	return digest;
}

/* -- msgpack -- */

function text(value) {
	if (value instanceof Uint8Array)
		return binary(value);
	const bytes = Buffer.from(String(value));
	const n = bytes.length;
	if (n > 65535)
		throw new RangeError('too long');
	const head = n < 32 ? [0xa0 | n] : n < 256 ? [0xd9, n] : [0xda, n >> 8, n & 255];
	return Buffer.concat([Buffer.from(head), bytes]);
}

function binary(bytes) {
	const n = bytes.length;
	if (n > 65535)
		throw new RangeError('too long');
	return Buffer.concat([Buffer.from(n < 256 ? [0xc4, n] : [0xc5, n >> 8, n & 255]), bytes]);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** UUIDs as 16 bytes; as ids only those of RFC 9562, which no slug can look like. */
function uuid(value, every) {
	if (typeof value !== 'string' || !UUID.test(value))
		return text(value);
	const bytes = Buffer.from(value.replaceAll('-', ''), 'hex');
	return every || (bytes[8] & 0xc0) === 0x80 ? binary(bytes) : text(value);
}

function real(value) {
	const bytes = Buffer.alloc(9, 0xcb);
	bytes.writeDoubleBE(Number(value), 1);
	return bytes;
}

/** 64 bits of a whole number below 2^53. */
function halves(value) {
	if (!Number.isSafeInteger(value) && value !== 2 ** 53)
		throw new RangeError('no whole number');
	return [value % 2 ** 32, Math.floor(value / 2 ** 32)];
}

function time(value) {
	const bytes = Buffer.alloc(9, 0xcf);
	const [low, high] = halves(Number(value));
	bytes.writeUInt32BE(high, 1);
	bytes.writeUInt32BE(low, 5);
	return bytes;
}

const FIELDS = [
	['type', text], ['id', (value) => uuid(value, false)], ['eid', (value) => uuid(value, true)],
	['ev', text], ['val', real], ['site', text], ['ts', time], ['ip', text], ['ua', text],
	['ref', text], ['sess', text],
];

/** An event's keys as a msgpack map; those that are null, undefined or unknown are left out. */
function encode(event) {
	if (event.type == null || event.id == null)
		throw new TypeError('no type or id');
	const given = FIELDS.filter(([key]) => event[key] != null);
	return Buffer.concat([
		Buffer.of(0x80 | given.length),
		...given.flatMap(([key, pack]) => [text(key), pack(event[key])]),
	]);
}

/** The datagram of these maps: a single one goes as it is. */
function array(maps) {
	const n = maps.length;
	if (n === 1)
		return maps[0];
	return Buffer.concat([Buffer.from(n < 16 ? [0x90 | n] : [0xdc, n >> 8, n & 255]), ...maps]);
}

/** The envelope of proto/README.md around a datagram; boot are its 8 bytes. */
function seal(name, key, boot, seq, timeMs, payload) {
	const head = Buffer.alloc(30);
	head.write('FFSD\x01', 'latin1');
	boot.copy(head, 5);
	[...halves(seq), ...halves(timeMs)].forEach((half, i) => head.writeUInt32LE(half, 13 + 4 * i));
	head[29] = name.length;
	const body = Buffer.concat([head, Buffer.from(name), payload]);
	return Buffer.concat([body, tag(key, body)]);
}

const KEY_LINE = /^[ \t]*([A-Za-z0-9_.-]{1,64})[ \t]+([0-9A-Fa-f]{64})[ \t\r]*$/m;

/** [name, key] of a line "NAME KEY", or of the first such line of the file that is named. */
function readKey(key) {
	const found = KEY_LINE.exec(key) || KEY_LINE.exec(fs.readFileSync(key, 'latin1'));
	if (!found)
		throw new TypeError('the file holds no key');
	return [found[1], Buffer.from(found[2], 'hex')];
}

/** What the other clients call the same; for tests. */
exports.wire = { encode, array, seal, readKey };

/* -- the client -- */

/** Sends to the agent at address, 'host:port' or '[address]:port'. key: a file with a line "NAME KEY",
 * or such a line itself; without one, datagrams are not signed, and the agent takes them from loopback
 * only. */
class Client {
	sent = 0; // events handed to the kernel
	failed = 0; // events that were not, or that nobody received on this host
	error = null; // why the last one failed

	#socket = null;
	#key = null;
	#boot = crypto.randomBytes(8);
	#seq = 0;
	#last = 0;
	#max = REMOTE_MAX;
	#connected = false;
	#waiting = []; // before the address is known
	#pending = 0; // handed to node and not yet to the kernel
	#idle = []; // who waits for none pending

	constructor(address = '127.0.0.1:8125', { key = null } = {}) {
		try {
			this.#key = key === null ? null : readKey(key);
			this.#connect(address);
		} catch (why) {
			this.#socket = null;
			this.error = why.message;
		}
	}

	/** Sends one event, with the keys of a datagram (proto/README.md). */
	event(event) {
		this.batch([event]);
	}

	/** Sends events in as few datagrams as hold them. */
	batch(events) {
		let maps = [];
		let size = 3;
		for (const event of events) {
			const packed = this.#encode(event);
			if (!packed)
				continue;
			if (maps.length && (maps.length === EVENTS_MAX || size + packed.length > this.#room())) {
				this.#send(maps);
				maps = [];
				size = 3;
			}
			maps.push(packed);
			size += packed.length;
		}
		if (maps.length)
			this.#send(maps);
	}

	/** Resolves when everything was handed over, or counted as failed. */
	async flush() {
		if (this.#pending + this.#waiting.length > 0 && this.#socket)
			await new Promise((done) => this.#idle.push(done));
	}

	async close() {
		await this.flush();
		this.#socket?.close();
		this.#socket = null;
		this.error = 'closed';
	}

	#connect(address) {
		const at = address.lastIndexOf(':');
		const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
		const loopback = /^127\.|^::1$|^localhost$/.test(host);
		this.#max = loopback ? DATAGRAM_MAX : REMOTE_MAX;
		this.#socket = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4');
		this.#socket.unref();
		this.#socket.on('error', (why) => this.#refused(why));
		this.#socket.connect(Number(address.slice(at + 1)), host, (why) => this.#opened(why));
	}

	#opened(why) {
		const waiting = this.#waiting;
		this.#waiting = [];
		if (why)
			this.#socket = null;
		this.#connected = !why;
		for (const [datagram, events] of waiting) {
			if (why)
				this.#fail(events, why);
			else
				this.#transmit(datagram, events);
		}
		this.#settle();
	}

	#fail(events, why) {
		this.failed += events;
		this.error = why?.message ?? String(why);
	}

	/** Nobody received the last datagram. */
	#refused(why) {
		if (this.#last === 0)
			return;
		this.sent -= this.#last;
		this.#fail(this.#last, why);
		this.#last = 0;
	}

	#room() {
		return this.#max - (this.#key ? 30 + this.#key[0].length + 16 : 0);
	}

	#encode(event) {
		try {
			const packed = encode(event);
			if (packed.length <= this.#room())
				return packed;
			this.#fail(1, 'larger than a datagram may be');
		} catch (why) {
			this.#fail(1, why);
		}
		return null;
	}

	#send(maps) {
		if (!this.#socket || this.#pending + this.#waiting.length >= WAITING_MAX) {
			this.#fail(maps.length, this.#socket ? 'the kernel has no room' : this.error);
			return;
		}
		let datagram = array(maps);
		if (this.#key)
			datagram = seal(...this.#key, this.#boot, ++this.#seq, Date.now(), datagram);
		if (this.#connected)
			this.#transmit(datagram, maps.length);
		else
			this.#waiting.push([datagram, maps.length]);
	}

	#transmit(datagram, events, again = true) {
		this.#pending++;
		try {
			this.#socket.send(datagram, (why) => this.#transmitted(why, datagram, events, again));
		} catch (why) {
			this.#transmitted(why, datagram, events, false);
		}
	}

	/** ECONNREFUSED is about an earlier datagram; this one was not sent yet. */
	#transmitted(why, datagram, events, again) {
		this.#pending--;
		if (why?.code === 'ECONNREFUSED' && again && this.#socket) {
			this.#refused(why);
			this.#transmit(datagram, events, false);
		} else if (why) {
			this.#fail(events, why);
		} else {
			this.sent += events;
			this.#last = events;
		}
		this.#settle();
	}

	#settle() {
		if (this.#pending + this.#waiting.length === 0)
			this.#idle.splice(0).forEach((done) => done());
	}
}
exports.Client = Client;
