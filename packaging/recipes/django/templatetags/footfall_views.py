"""A view that the server reports and the browser confirms, counted once.

    {% load footfall_views %}
    <article {% footfall_view "video" video.id %}>…</article>

writes the element's attributes with a new event id, and sends the agent a datagram with the same one:
a browser whose beacon is blocked is counted by the datagram, any other one by whichever comes first.
A page with this tag is one visitor's, so it must not be cached: use @never_cache, or the attributes
alone. Needs `request` among the context processors, and in the settings

    FOOTFALL_AGENT = "127.0.0.1:8125"    # udp.listen of the agent; the default

`footfall` is proto/clients/python/footfall.py. REMOTE_ADDR must be the visitor's: behind a proxy that
takes a middleware which knows that proxy.
"""

from django import template
from django.conf import settings
from django.utils.html import format_html

import footfall

register = template.Library()
clients = {}


def client():
    address = getattr(settings, "FOOTFALL_AGENT", "127.0.0.1:8125")
    if address not in clients:
        clients[address] = footfall.Client(address)
    return clients[address]


@register.simple_tag(takes_context=True)
def footfall_view(context, content_type, content_id):
    seen = context["request"].META
    event_id = footfall.event_id()
    client().event(
        type=content_type,
        id=str(content_id),
        eid=event_id,
        ip=seen.get("REMOTE_ADDR"),
        ua=seen.get("HTTP_USER_AGENT"),
        ref=seen.get("HTTP_REFERER"),
    )
    return format_html(
        'data-analytics-track data-content-type="{}" data-content-id="{}" data-event-id="{}"',
        content_type, content_id, event_id,
    )
