# One image for every process of docker-compose.yml; the command says which one it is.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements/production.txt /tmp/
RUN /venv/bin/pip install --require-hashes --requirement /tmp/production.txt

FROM python:3.13-slim
ENV DJANGO_SETTINGS_MODULE=concert_project.settings.production \
    DATA_DIR=/data \
    PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STATIC_ROOT=/app/staticfiles
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin encore \
    && install --directory --owner encore --group encore /data
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
# Collecting static files reads the settings but needs no server and keeps no secret.
RUN ALLOWED_HOSTS=build BASE_URL=https://build BROKER_URL=redis://build CACHE_URL=redis://build \
    DATABASE_URL=postgresql://build QUEUE_TOKEN_KEYS=build:YnVpbGQ QUEUE_URL=redis://build \
    SECRET_KEY=only-while-the-image-is-built-and-never-in-a-deployment \
    WEBHOOK_SECRETS=whsec_YnVpbGQ= \
    python manage.py collectstatic --noinput \
    && python -m compileall -q apps concert_project
USER encore
EXPOSE 8000
# Django answers only to its own names, so the check uses the first of them.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:8000/livez', headers={'Host': os.environ['ALLOWED_HOSTS'].split(',')[0].lstrip('.')}), timeout=4)"]
CMD ["python", "-P", "concert_project/watchdog.py", "--", "granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "3", "--backlog", "4096", "--backpressure", "8192", "--respawn-failed-workers", "--no-ws", "concert_project.wsgi:application"]
