/* days.js -- days as YYYY-MM-DD text: the site's days, which know nothing of the browser's time zone. */

const DAY_MS = 86400000;

export function isDay(text) {
	return /^\d{4}-\d{2}-\d{2}$/.test(text || '') && !Number.isNaN(Date.parse(text + 'T00:00:00Z'));
}

function ms(day) {
	return Date.parse(day + 'T00:00:00Z');
}

export function addDays(day, n) {
	return new Date(ms(day) + n * DAY_MS).toISOString().slice(0, 10);
}

export function daysBetween(from, to) {
	return Math.round((ms(to) - ms(from)) / DAY_MS) + 1;
}

export const PRESETS = [
	{key: 'today', label: 'Today'},
	{key: '7d', label: '7 days'},
	{key: '28d', label: '28 days'},
	{key: 'month', label: 'This month'},
];

/* First and last day of a preset, counted back from the site's today. */
export function presetDays(key, today) {
	if (key === 'today') return {from: today, to: today};
	if (key === '7d') return {from: addDays(today, -6), to: today};
	if (key === 'month') return {from: today.slice(0, 8) + '01', to: today};
	return {from: addDays(today, -27), to: today};
}

/* Hours for a single day, months where days would be too many to tell apart. */
export function grainOf(from, to) {
	const days = daysBetween(from, to);
	if (days <= 1) return 'hour';
	return days > 400 ? 'month' : 'day';
}
