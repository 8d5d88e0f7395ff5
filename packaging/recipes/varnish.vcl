# Footfall behind Varnish 7: pages and the tracker come from the cache, beacons go through to the agent.
#
# The agent's side, in agent.conf:
#   http { listen = {"127.0.0.1:8080"}  trusted_proxies = {"127.0.0.1/32"} }

vcl 4.1;

backend pages {
	.host = "127.0.0.1";
	.port = "8000";
}

backend footfall {
	.host = "127.0.0.1";
	.port = "8080";
}

sub vcl_recv {
	# Varnish adds the peer's address itself, behind whatever the client wrote: only its own stays.
	set req.http.X-Forwarded-For = client.ip;
	unset req.http.Forwarded;

	if (req.url ~ "^/([a-z][a-z]/)?api/track-view/$") {
		set req.backend_hint = footfall;
		return (pass);
	}
	if (req.url ~ "^/js/analytics-tracking") {
		set req.backend_hint = footfall;
		unset req.http.Cookie;
		return (hash);
	}
	set req.backend_hint = pages;
}
