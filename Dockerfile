FROM python:3.13-slim

WORKDIR /build
COPY pyproject.toml constraints.txt README.md ./
COPY mailer mailer
COPY workers workers
COPY templates templates
RUN pip install --no-cache-dir -c constraints.txt . && rm -rf /build

# Nothing here needs root: the web app listens on 8000 and the listener on 2525.
RUN useradd --system --uid 10001 --no-create-home mailer && install -d -o mailer -g mailer /data /data/journal
USER mailer
WORKDIR /data
ENV MAILER_DATA=/data PYTHONUNBUFFERED=1
EXPOSE 8000 2525
CMD ["mailer", "serve", "--host", "0.0.0.0", "--port", "8000"]
