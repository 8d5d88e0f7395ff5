/* poll.js -- loads, and loads again every five seconds while somebody looks.
 *
 * What was loaded stays until something newer has come: a slow or absent central never empties the page.
 */
import {useEffect, useRef, useState} from 'preact/hooks';
import {Refused, Unauthorized} from './api.js';

const EVERY_MS = 5000;

/* parts: {name: () => promise}. Returns {data: {name: value}, key, loadedAt, loading, failed, refused}: `data` of
 * `key`, which is the wanted key unless `loading`; `failed` when the newest try did not reach the central. */
export function usePolled(key, parts, onUnauthorized) {
	const [state, setState] = useState({data: {}, key: null, loadedAt: null, failed: false, refused: null});
	const newest = useRef({});
	newest.current = {parts, onUnauthorized};

	useEffect(() => {
		let over = false, timer = 0, busy = false;

		async function load() {
			if (busy) return;
			busy = true;
			clearTimeout(timer);
			const outcome = await settle(newest.current.parts);
			busy = false;
			if (over) return;
			if (outcome.unauthorized) return newest.current.onUnauthorized();
			setState((old) => merge(old, key, outcome));
			if (!document.hidden) timer = setTimeout(load, EVERY_MS);
		}

		const look = () => (document.hidden ? clearTimeout(timer) : load());
		document.addEventListener('visibilitychange', look);
		load();
		return () => {
			over = true;
			clearTimeout(timer);
			document.removeEventListener('visibilitychange', look);
		};
	}, [key]);

	return {...state, loading: state.key !== key};
}

async function settle(parts) {
	const names = Object.keys(parts);
	const results = await Promise.allSettled(names.map((name) => parts[name]()));
	const outcome = {data: {}, failed: false, refused: null, unauthorized: false};
	results.forEach((result, i) => {
		if (result.status === 'fulfilled') outcome.data[names[i]] = result.value;
		else if (result.reason instanceof Unauthorized) outcome.unauthorized = true;
		else if (result.reason instanceof Refused) outcome.refused = result.reason.message;
		else outcome.failed = true;
	});
	return outcome;
}

/* Objects that say the same keep their identity, so that nothing is drawn again for nothing. */
function merge(old, key, {data, failed, refused}) {
	const reached = Object.keys(data).length > 0;
	if (failed && !reached) return {...old, failed: true};
	const kept = {};
	for (const name of new Set([...Object.keys(old.data), ...Object.keys(data)])) {
		const before = old.data[name], now = data[name];
		if (now === undefined) {
			if (old.key === key) kept[name] = before;
		} else {
			kept[name] = JSON.stringify(before) === JSON.stringify(now) ? before : now;
		}
	}
	return {data: kept, key, loadedAt: failed ? old.loadedAt : new Date(), failed, refused};
}
