/* api.js -- asks the central, and says in one of three ways that it did not answer. */

export class Unauthorized extends Error {}
/* No connection, no JSON, or a status above 500: what was loaded before is still the best we know. */
export class Unavailable extends Error {}
/* The central understood and refused: its words are for the operator. */
export class Refused extends Error {}

const PATIENCE_MS = 20000;

async function call(path, init) {
	const stop = new AbortController();
	const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
	let answer, body;
	try {
		answer = await fetch(path, {...init, credentials: 'same-origin', cache: 'no-store', signal: stop.signal});
		body = answer.status === 204 ? null : await answer.json().catch(() => null);
	} catch (e) {
		throw new Unavailable(String(e && e.message));
	} finally {
		clearTimeout(timer);
	}
	if (answer.status === 401) throw new Unauthorized((body && body.error) || 'not signed in');
	if (answer.ok && (body || init)) return body;
	if (answer.status >= 500 || answer.ok) throw new Unavailable(`status ${answer.status}`);
	throw new Refused((body && body.error) || `status ${answer.status}`);
}

export function get(what, params) {
	const query = new URLSearchParams();
	for (const [key, value] of Object.entries(params || {})) {
		if (value !== undefined && value !== null && value !== '') query.set(key, value);
	}
	const text = query.toString();
	return call(`/api/v1/${what}${text ? '?' + text : ''}`);
}

export function post(what, body) {
	return call(`/api/v1/${what}`, {
		method: 'POST',
		headers: {'Content-Type': 'application/json'},
		body: JSON.stringify(body || {}),
	});
}
