// msgpack_library.mjs LIBRARY -- @msgpack/msgpack and msgpackr; see msgpack_library.py.
import crypto from 'node:crypto';

function event() {
	return {
		type: 'video', id: crypto.randomBytes(16), eid: crypto.randomUUID(), ts: Date.now(), val: 3, ip: '192.0.2.1',
		ua: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', ref: null,
		unknown: { a: [1, -2, true] },
	};
}

const show = (name, bytes) => console.log(name, Buffer.from(bytes).toString('hex'));

const libraries = {
	async '@msgpack/msgpack'() {
		const { encode } = await import('@msgpack/msgpack');
		show('map', encode(event()));
		show('array', encode([event(), event()]));
		show('no-undefined', encode({ ...event(), sess: undefined }, { ignoreUndefined: true }));
		show('float32', encode({ ...event(), ts: undefined, val: 2.5 }, { forceFloat32: true }));
	},
	async msgpackr() {
		const { pack, Packr } = await import('msgpackr');
		show('map', pack(event()));
		show('array', pack([event(), event()]));
		show('integer-map', new Packr({ useRecords: false, variableMapSize: true }).pack(event()));
		show('map-as-Map', pack(new Map(Object.entries(event()))));
	},
};
await libraries[process.argv[2]]();
