/* place.js -- where the operator is: page, range and filters, kept in the address bar and nowhere else. */
import {useEffect, useState} from 'preact/hooks';
import {isDay, PRESETS} from './days.js';

const PAGES = ['overview', 'nodes', 'bots'];
const SORTS = ['events', '-events', 'name', '-name', 'reason', '-reason'];

function oneOf(list, value) {
	return list.includes(value) ? value : list[0];
}

export function readPlace(search = location.search) {
	const query = new URLSearchParams(search);
	const place = {
		page: oneOf(PAGES, query.get('page')),
		type: query.get('type') || '',
		site: query.get('site') || '',
		node: query.get('node') || '',
		reason: query.get('reason') || '',
		find: query.get('find') || '',
		sort: oneOf(SORTS, query.get('sort')),
	};
	const from = query.get('from'), to = query.get('to');
	if (isDay(from) && isDay(to) && from <= to) return {...place, range: 'custom', from, to};
	const range = query.get('range');
	return {...place, range: PRESETS.some((p) => p.key === range) ? range : '28d'};
}

export function placeUrl(place) {
	const query = new URLSearchParams();
	if (place.page !== 'overview') query.set('page', place.page);
	if (place.range === 'custom') {
		query.set('from', place.from);
		query.set('to', place.to);
	} else if (place.range !== '28d') {
		query.set('range', place.range);
	}
	if (place.type) query.set('type', place.type);
	if (place.site) query.set('site', place.site);
	if (place.page === 'bots') {
		if (place.node) query.set('node', place.node);
		if (place.reason) query.set('reason', place.reason);
		if (place.find) query.set('find', place.find);
		if (place.sort !== SORTS[0]) query.set('sort', place.sort);
	}
	const text = query.toString();
	return text ? `/?${text}` : '/';
}

/* The place, and how to go to another: changes are history entries, so Back undoes a filter; with `replace`
 * they are not, for what changes with every key. */
export function usePlace() {
	const [place, setPlace] = useState(() => readPlace());
	useEffect(() => {
		const back = () => setPlace(readPlace());
		addEventListener('popstate', back);
		return () => removeEventListener('popstate', back);
	}, []);
	const go = (change, {replace = false} = {}) => {
		const next = {...place, ...change};
		const url = placeUrl(next);
		if (url !== location.pathname + location.search) history[replace ? 'replaceState' : 'pushState'](null, '', url);
		setPlace(next);
	};
	return [place, go];
}
