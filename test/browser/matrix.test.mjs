/* Chromium's column of the matrix; `make test-browsers` runs all three. */
import assert from 'node:assert/strict';
import {before, test} from 'node:test';
import {CASES, runEngine} from './matrix.mjs';

let column;

before(async () => (column = await runEngine('chromium')));

for (const name of [...Object.keys(CASES), 'a later view']) {
	test(name, (t) => {
		const {cell, cannot, failed} = column.results[name];
		if (cannot) return t.skip(cannot);
		return assert.ok(cell, failed);
	});
}
