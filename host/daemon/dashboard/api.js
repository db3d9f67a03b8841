// The API: requests, and the stream of events.

/** An error that the API tells, as `{ class, message, owner, next_step }`. */
export class ApiError extends Error {
  constructor(status, error) {
    super(error.message);
    Object.assign(this, error, { status });
  }
}

async function request(method, path, { body, type, headers } = {}) {
  let answer;
  try {
    const contentType = body === undefined ? {} : { "content-type": type ?? "application/json" };
    const text = body === undefined || type ? body : JSON.stringify(body);
    answer = await fetch(`/api/v1${path}`, { method, body: text, headers: { ...contentType, ...headers } });
  } catch {
    throw new ApiError(0, { class: "connection", message: "the daemon does not answer", next_step: "look whether it runs" });
  }
  const text = await answer.text();
  const isJson = (answer.headers.get("content-type") ?? "").includes("json");
  const data = isJson && text ? JSON.parse(text) : text;
  if (answer.ok) return data;
  throw new ApiError(answer.status, data?.error ?? { message: `the daemon answered ${answer.status}` });
}

export const get = (path, query = {}) => {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given).toString();
  return request("GET", text ? `${path}?${text}` : path);
};
export const post = (path, body, options = {}) => request("POST", path, { body, ...options });

/** Follows events until the page is left. `connection(since)` is told when it is lost (a moment) and is back (null). */
export class Events {
  constructor(connection) {
    this.connection = connection;
    this.lost = null;
    this.last = null;
    this.listeners = new Set();
  }

  /** Calls `listener(kind, data)` for each event; of one run only, if it is given. Gives what ends that. */
  follow(listener, run) {
    const entry = { listener, run };
    this.listeners.add(entry);
    this.reopen(run);
    return () => { this.listeners.delete(entry); if (run) this.reopen(undefined); };
  }

  reopen(run) {
    if (this.source && this.run === run) return;
    this.run = run;
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.source?.close();
    const query = new URLSearchParams();
    if (this.run) query.set("run", this.run);
    if (this.last) query.set("after", this.last);
    const source = new EventSource(`/api/v1/events?${query}`);
    this.source = source;
    source.onopen = () => this.found();
    source.onerror = () => {
      this.lose();
      // A browser gives up where it was answered by an error: the daemon may be starting.
      if (source.readyState === EventSource.CLOSED) this.timer = setTimeout(() => this.open(), 2000);
    };
    for (const kind of ["run", "progress", "log"]) {
      source.addEventListener(kind, (event) => {
        if (event.lastEventId) this.last = event.lastEventId;
        const data = JSON.parse(event.data);
        for (const { listener } of this.listeners) listener(kind, data);
      });
    }
  }

  lose() {
    this.lost ??= new Date();
    this.connection(this.lost);
  }

  found() {
    const wasLost = this.lost !== null;
    this.lost = null;
    this.connection(null);
    if (wasLost) for (const { listener } of this.listeners) listener("reconnected", null);
  }
}
