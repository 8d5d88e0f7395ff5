/* analytics-tracking.js -- tells the agent that a marked element was on screen.
 *
 *   <div data-analytics-track data-content-type="video" data-content-id="(uuid)">
 *   <script src="/js/analytics-tracking.js" defer></script>
 *
 * One event per marked element and page view, after 500 ms in which the page could be seen. A page view
 * begins with the load, with a return from the back/forward cache, and with a change of address made by
 * history.pushState or by going back and forth after one. Sent by sendBeacon, else fetch, else XHR; each
 * try carries the same event id, so that a try which did arrive is not counted twice.
 *
 * Written in ES5, so that an old browser gets an XHR or nothing, never a syntax error. The build fails
 * above 1,024 bytes gzipped: where a shorter way of saying something exists, it was taken.
 * Nothing is stored in the browser, and no error leaves this file.
 */
(function (document, navigator) {
	var root = document.documentElement;
	/* currentScript is null in a module and in a script added later: their attributes stand on <html>. */
	var options = (document.currentScript || root).dataset;
	/* Elements found and not yet sent, oldest first: [visibleMs when it was found, what sends it]. */
	var pending = [];
	/* Milliseconds in which the page could be seen, up to `since`, which is 0 while it cannot be. */
	var visibleMs = 0, since;
	var pageView = 0, address;

	function log(what, detail) {
		if ('debug' in options || 'debug' in root.dataset) console.log('footfall:', what, detail);
	}

	/* The same function, but nothing that it throws reaches the page. */
	function safe(f) {
		return function (a) {
			try {
				f(a);
			} catch (e) {
				log(e);
			}
		};
	}

	/* A UUID of version 4. It has to be unlikely twice, not hard to guess, and the agent remembers it for an
	 * hour: of a million events one pair has the same seed of Math.random (64 bits) once in 30 million hours. */
	function uuid() {
		return '00000000-0000-4000-8000-000000000000'.replace(/0/g, function () {
			return Math.random().toString(16)[2];
		});
	}

	function send(data) {
		var endpoint = options.endpoint || '/api/track-view/', way = 0, xhr, body = JSON.stringify({
			content_type: data.contentType,
			content_id: data.contentId,
			event_id: data.eventId || uuid(),
			event: data.event || undefined,
			site: data.site || options.site,
			/* Its host is all that will be kept, so no path is sent. */
			referrer: document.referrer.replace(/(\w)\/.*/, '$1')
		});

		function next() {
			log(way > 2 ? 'not sent' : 'send', body);
			try {
				if (!way++) {
					/* Plain text needs no preflight, so it reaches another origin even while the page closes. */
					if (!navigator.sendBeacon(endpoint, new Blob([body], {type: 'text/plain'}))) next();
				} else if (way < 3) {
					fetch(endpoint, {method: 'POST', body: body, keepalive: true}).then(0, next);
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

		/* The page's own id names one event: a second page view of the element is another. */
		delete data.eventId;
		next();
	}

	/* Brings the visible time up to date and sends what is due. */
	var update = safe(function () {
		var now = performance.now();
		if (since) visibleMs += now - since;
		/* A page that is being prerendered is hidden until it is activated. */
		since = document.visibilityState == 'visible' ? now : 0;
		while (pending[0] && visibleMs - pending[0][0] >= 500) pending.shift()[1]();
	});

	/* The key stays on the element, which is thus found once per page view and once per content. */
	var scan = safe(function () {
		update();
		document.querySelectorAll('[data-analytics-track]').forEach(function (element) {
			var data = element.dataset, key = pageView + data.contentType + data.contentId;
			if (element._footfall != key) {
				element._footfall = key;
				if (data.contentType && data.contentId) pending.push([visibleMs, function () {
					/* Taken away, given another content, or found anew by the next page view: then it was not viewed. */
					if (element.isConnected && element._footfall == key) send(data);
				}]);
				else log('skipped', element);
			}
		});
		/* What waits now is due by then if the page stays visible; if not, its return brings it here again. */
		setTimeout(update, 510);
	});

	/* For what may begin a page view; a change of only the fragment does not. */
	function turn(event) {
		var here = location.href.split('#')[0];
		if (event.persisted || address != here) {
			address = here;
			pageView++;
			scan();
		}
	}

	safe(function () {
		var pushState = history.pushState;
		if ('respectPrivacy' in options && (navigator.globalPrivacyControl || navigator.doNotTrack == 1)) return log('off');
		turn(0);
		document.addEventListener('visibilitychange', scan);
		addEventListener('pageshow', turn);
		addEventListener('popstate', turn);
		history.pushState = function () {
			pushState.apply(history, arguments);
			turn(0);
		};
		new MutationObserver(scan).observe(document, {childList: true, subtree: true, attributeFilter: ['data-content-id']});
	})();
})(document, navigator);
