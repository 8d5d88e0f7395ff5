/* analytics-tracking.js -- tells the agent that a marked element was on screen.
 *
 *   <div data-analytics-track data-content-type="video" data-content-id="(uuid)">
 *   <script src="/js/analytics-tracking.js" defer></script>
 *
 * One event per marked element and page view, after 500 ms in which the page could be seen. A page view
 * begins with the load, with a return from the back/forward cache, and with a change of address made by
 * history.pushState or by going back and forth after one. Sent by sendBeacon, else fetch, else XHR, and
 * again when a browser that was offline no longer is; each try carries the same event id, so that a try
 * which did arrive is not counted twice.
 *
 * Written in ES5, so that an old browser gets an XHR or nothing, never a syntax error. The build fails
 * above 1,024 bytes gzipped, its name included: where a shorter way of saying something exists, it was taken.
 * Nothing is stored in the browser unless the page asks for sessions, and no error leaves this file.
 */
(function (document) {
	/* currentScript is null in a module and in a script added later: their attributes stand on <html>. */
	var options = (document.currentScript || document.documentElement).dataset;
	/* Elements found and not yet sent, oldest first: [visibleMs when it was found, what sends it]. */
	var pending = [];
	/* Milliseconds in which the page could be seen, up to `since`, which is 0 while it cannot be. */
	var visibleMs = 0, since;
	var pageView = 0, address;

	function log(what) {
		if ('debug' in options) console.log('footfall:', what);
	}

	/* The same function, but nothing that it throws reaches the page. */
	function safe(f) {
		return function () {
			try {
				f();
			} catch (e) {
				log(e);
			}
		};
	}

	/* A UUID of version 4: the File API has the address of a blob end in a new one, and unlike crypto.randomUUID it needs
	 * no https. The address, of nothing, is the browser's until the page is left. A page may have a URL of its own, though:
	 * then the event goes without an id, and counts all the same. */
	function uuid() {
		try {
			return URL.createObjectURL(new Blob()).slice(-36);
		} catch (e) {}
	}

	function send(data) {
		var kept, session, body, xhr, way = 0, endpoint = options.endpoint || '/api/track-view/';

		/* localStorage.footfall is "off" for who opted out; else, only with data-session, a session's UUID and behind
		 * it the time of its last event. Where storage throws there is no session: one that cannot be kept is none. */
		try {
			if (
				('respectPrivacy' in options && (navigator.globalPrivacyControl || navigator.doNotTrack == 1)) ||
				(kept = localStorage.footfall + '') == 'off'
			) return log('off');
			if ('session' in options) {
				/* 30 minutes idle end a session. */
				kept = Date.now() - kept.slice(36) < 18e5 ? kept.slice(0, 36) : uuid();
				localStorage.footfall = kept + Date.now();
				session = kept;
			}
		} catch (e) {}

		body = JSON.stringify({
			content_type: data.contentType,
			content_id: data.contentId,
			event_id: data.eventId || uuid(),
			/* xhr is undefined so far, and so not written. */
			event: data.event || xhr,
			site: data.site || options.site,
			session: session,
			webdriver: navigator.webdriver,
			/* Its host is all that will be kept, so no path is sent. */
			referrer: document.referrer.split(/\b\//)[0]
		});

		/* The next way: 0 sendBeacon, 1 fetch, 2 XHR, and 3 is none. */
		function next() {
			log(way + body);
			try {
				if (!way++) {
					/* Plain text needs no preflight: it reaches another origin even while the page closes. */
					if (!navigator.sendBeacon(endpoint, new Blob([body], {type: 'text/plain'}))) next();
				} else if (way < 3) {
					fetch(endpoint, {body: body, method: 'POST', keepalive: true}).catch(next);
				} else if (way < 4) {
					xhr = new XMLHttpRequest();
					xhr.onerror = next;
					xhr.open('POST', endpoint);
					xhr.send(body);
				}
			} catch (e) {
				next();
			}
		}

		/* From here on a try that was broken off (see update) goes on with this body, and so with the same event id. */
		pending[0][1] = next;
		/* The page's own id names one event: a second page view of the element is another. */
		delete data.eventId;
		next();
		/* A beacon does not say that it failed, and onLine is wrong at times: so it is tried now and once more then. */
		if (!navigator.onLine) addEventListener('online', next);
	}

	/* Brings the visible time up to date and sends what is due. */
	var update = safe(function () {
		var now = performance.now();
		if (since) visibleMs += now - since;
		/* A page that is being prerendered is hidden until it is activated. */
		since = document.hidden ? 0 : now;
		/* Taken off when it was done: Firefox may break off any listener of a page whose process ends with it, and no
		 * catch sees that. The next event of the closing begins here again. What can be caught does not come here: such a
		 * view is given up, and holds up no other. */
		for (; pending[0] && visibleMs - pending[0][0] >= 500; pending.shift()) pending[0][1]();
	});

	/* The key stays on the element, which is thus found once per page view and once per content. */
	var scan = safe(function () {
		update();
		document.querySelectorAll('[data-analytics-track]').forEach(function (element) {
			var data = element.dataset, key = pageView + data.contentType + data.contentId;
			if (element.footfall != (element.footfall = key)) {
				if (data.contentType && data.contentId) pending.push([visibleMs, safe(function () {
					/* Taken away, given another content, or found anew by the next page view: then it was not viewed. */
					if (element.isConnected && element.footfall == key) send(data);
				})]);
				else log(element);
			}
		});
		/* What waits now is due by then if the page stays visible; if not, its return brings it here again. */
		setTimeout(update, 510);
	});

	/* For what may begin a page view; a change of only the fragment does not. */
	function turn(event) {
		if (address != (address = location.href.split('#')[0]) || event.persisted) {
			pageView++;
			scan();
		}
	}

	safe(function () {
		var pushState = history.pushState;
		turn(0);
		/* Both come when a page closes. */
		addEventListener('pageshow', turn);
		addEventListener('popstate', turn);
		addEventListener('visibilitychange', scan);
		addEventListener('pagehide', scan);
		history.pushState = function () {
			pushState.apply(history, arguments);
			turn(0);
		};
		new MutationObserver(scan).observe(document, {childList: true, subtree: true});
	})();
})(document);
