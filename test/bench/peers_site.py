"""peers_site.py -- the usual design, for peers.py: a Django view that inserts one row for each page view.

    peers_site.py create      makes the table

PEERS_SOCKET is the folder of PostgreSQL's socket. PEERS_STYLE says how it is done: "usual" as
`startproject` sets it up (its middleware, a connection to the database for each request), "best" with
neither, "relaxed" the same without waiting for the disk at each commit.
"""

import json
import os
import sys
import uuid

import django
from django.conf import settings

STYLE = os.environ["PEERS_STYLE"]
MIDDLEWARE = """django.middleware.security.SecurityMiddleware
django.contrib.sessions.middleware.SessionMiddleware
django.middleware.common.CommonMiddleware
django.middleware.csrf.CsrfViewMiddleware
django.contrib.auth.middleware.AuthenticationMiddleware
django.contrib.messages.middleware.MessageMiddleware
django.middleware.clickjacking.XFrameOptionsMiddleware""".split()

settings.configure(
    SECRET_KEY="of a benchmark",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                    "django.contrib.messages"],
    MIDDLEWARE=MIDDLEWARE if STYLE == "usual" else [],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "views",
            "HOST": os.environ["PEERS_SOCKET"],
            "CONN_MAX_AGE": 0 if STYLE == "usual" else None,
            "OPTIONS": {"options": "-c synchronous_commit=off"} if STYLE == "relaxed" else {},
        }
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402

TYPES = {"video", "audio", "pdf", "static"}


class View(models.Model):
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    content_type = models.CharField(max_length=32)
    content_id = models.UUIDField(db_index=True)
    address = models.GenericIPAddressField()
    user_agent = models.TextField()

    class Meta:
        app_label = "views"


@csrf_exempt
@require_POST
def track(request):
    try:
        body = json.loads(request.body)
        content_type, content_id = body["content_type"], uuid.UUID(body["content_id"])
    except (ValueError, KeyError, TypeError):
        return JsonResponse({"success": False}, status=400)
    if content_type not in TYPES:
        return JsonResponse({"success": False}, status=400)
    View.objects.create(content_type=content_type, content_id=content_id,
                        address=request.META["REMOTE_ADDR"], user_agent=request.headers["User-Agent"])
    return JsonResponse({"success": True, "tracked": True})


urlpatterns = [path("api/track-view/", track)]
application = get_wsgi_application()

if __name__ == "__main__" and sys.argv[1:] == ["create"]:
    with connection.schema_editor() as editor:
        editor.create_model(View)
