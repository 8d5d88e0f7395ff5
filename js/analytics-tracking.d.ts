/* The tracker is a script without exports: it acts on the page's attributes, described in README.md. These types are
 * for those who write the attributes in JSX or read a beacon's body in a test. */

export {};

/** The JSON body of one beacon, as `POST /api/track-view/` takes it. */
export interface FootfallBeacon {
	content_type: string;
	content_id: string;
	/** UUID of this event; every retry carries the same. */
	event_id: string;
	/** Name of the event; `view` where absent. */
	event?: string;
	site?: string;
	/** UUID of the session, where the page asks for sessions. */
	session?: string;
	/** What navigator.webdriver says. */
	webdriver?: boolean;
	/** Scheme and host of the referring page; empty for a direct visit. */
	referrer?: string;
}

/** Attributes of a tracked element. */
export interface FootfallElementAttributes {
	'data-analytics-track'?: string | boolean;
	'data-content-type'?: string;
	'data-content-id'?: string;
	'data-event-id'?: string;
	'data-event'?: string;
	'data-site'?: string;
}

/** Attributes of the script tag, or of the html element where the script is a module or added later. */
export interface FootfallScriptAttributes {
	'data-endpoint'?: string;
	'data-site'?: string;
	'data-debug'?: string | boolean;
	'data-respect-privacy'?: string | boolean;
	'data-session'?: string | boolean;
}

declare global {
	interface Storage {
		/** `off` opts out of being counted; else the tracker's own, with `data-session`. */
		footfall?: string;
	}
}
