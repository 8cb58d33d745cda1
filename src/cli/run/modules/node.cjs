// Leads connections to the intercepted hosts through the gate, in versions of Node that look at no proxy variable.
//
// Everything in Node that speaks TLS (https, http2, fetch, WebSocket) opens its connections with `tls.connect`. To an
// intercepted host that gets a stream here which first asks the gate for the way (CONNECT). All else is left alone.
'use strict';

(() => {
  const proxyText = process.env.TOLLGATE_RUN_PROXY;
  const hosts = (process.env.TOLLGATE_RUN_HOSTS || '').split(',').filter(Boolean);
  if (!proxyText || hosts.length === 0 || !process.versions || !process.versions.node) return;
  // Bun and others that call themselves Node have proxy variables of their own.
  if (process.versions.bun || process.versions.deno) return;
  const [major, minor] = process.versions.node.split('.').map(Number);
  const isNative = major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21);
  if (isNative && process.env.NODE_USE_ENV_PROXY === '1') return;

  let proxy;
  try {
    proxy = new URL(proxyText);
  } catch (_) {
    return;
  }
  if (proxy.protocol !== 'http:') return;
  const net = require('net');
  const tls = require('tls');
  const { Duplex } = require('stream');
  const connectDirectly = tls.connect;
  const proxyHost = proxy.hostname.replace(/^\[|\]$/g, '');
  const proxyPort = Number(proxy.port || 80);
  const decoded = (text) => {
    try {
      return decodeURIComponent(text);
    } catch (_) {
      return text;
    }
  };
  const user = proxy.username || proxy.password ? `${decoded(proxy.username)}:${decoded(proxy.password)}` : null;

  function isIntercepted(host) {
    const name = String(host).toLowerCase().replace(/\.$/, '');
    return hosts.some((one) => name === one || name.endsWith(`.${one}`));
  }

  // A stream whose first bytes wait until the gate has answered.
  class Way extends Duplex {
    constructor(host, port, settings) {
      super({ allowHalfOpen: true });
      this.waiting = null;
      this.head = Buffer.alloc(0);
      this.isOpen = false;
      this.socket = net.connect({ host: proxyHost, port: proxyPort, signal: settings.signal });
      this.socket.setNoDelay(true);
      const at = `${host}:${port}`;
      const authorization = user ? `Proxy-Authorization: Basic ${Buffer.from(user).toString('base64')}\r\n` : '';
      this.socket.once('connect', () => {
        this.socket.write(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n${authorization}\r\n`);
      });
      this.onAnswer = (piece) => this.answered(piece);
      this.socket.on('data', this.onAnswer);
      this.socket.on('error', (error) => this.destroy(error));
      this.socket.on('end', () => {
        if (this.isOpen) this.push(null);
        else this.destroy(failed('the gate closed the connection'));
      });
      this.socket.on('close', () => this.destroy());
      this.socket.on('timeout', () => this.emit('timeout'));
    }

    answered(piece) {
      this.head = Buffer.concat([this.head, piece]);
      const end = this.head.indexOf('\r\n\r\n');
      if (end < 0) {
        if (this.head.length > 65536) this.destroy(failed('the gate gave no answer that can be read'));
        return;
      }
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(this.head.toString('latin1', 0, end));
      if (!status || status[1][0] !== '2') {
        this.destroy(failed(`the gate answered ${status ? status[1] : 'nothing that can be read'}`));
        return;
      }
      const rest = this.head.subarray(end + 4);
      this.head = null;
      this.isOpen = true;
      this.socket.removeListener('data', this.onAnswer);
      this.socket.on('data', (bytes) => {
        if (!this.push(bytes)) this.socket.pause();
      });
      if (rest.length > 0) this.push(rest);
      const waiting = this.waiting;
      this.waiting = null;
      if (waiting) waiting();
    }

    _read() {
      if (this.isOpen) this.socket.resume();
    }

    whenOpen(act) {
      if (this.isOpen) act();
      else this.waiting = act;
    }

    _write(bytes, encoding, done) {
      this.whenOpen(() => this.socket.write(bytes, encoding, done));
    }

    _writev(pieces, done) {
      const all = Buffer.concat(pieces.map((piece) => Buffer.from(piece.chunk, piece.encoding)));
      this.whenOpen(() => this.socket.write(all, done));
    }

    _final(done) {
      this.whenOpen(() => this.socket.end(done));
    }

    _destroy(error, done) {
      this.socket.destroy();
      done(error);
    }

    // What is set on the connection of a program is meant for the one that there is.
    setTimeout(time, callback) { this.socket.setTimeout(time, callback); return this; }
    setNoDelay(on) { this.socket.setNoDelay(on); return this; }
    setKeepAlive(on, delay) { this.socket.setKeepAlive(on, delay); return this; }
    ref() { this.socket.ref(); return this; }
    unref() { this.socket.unref(); return this; }
  }

  function failed(reason) {
    const error = new Error(`tollgate: ${reason}`);
    error.code = 'ECONNREFUSED';
    return error;
  }

  // The forms in which it can be called: (options), (port), (port, host), each with options and callback behind.
  function taken(args) {
    const rest = [...args];
    const callback = typeof rest[rest.length - 1] === 'function' ? rest.pop() : undefined;
    if (rest[0] !== null && typeof rest[0] === 'object') return { settings: { ...rest[0] }, callback };
    const settings = { port: rest.shift() };
    if (typeof rest[0] === 'string') settings.host = rest.shift();
    else if (rest[0] === undefined || rest[0] === null) rest.shift();
    return { settings: { ...settings, ...(rest[0] || {}) }, callback };
  }

  function connect(...args) {
    try {
      const { settings, callback } = taken(args);
      const host = settings.host || settings.hostname || settings.servername;
      if (settings.socket || settings.path || settings.pipe || !host || !isIntercepted(host)) {
        return connectDirectly.apply(this, args);
      }
      const port = Number(settings.port) || 443;
      const socket = new Way(host, port, settings);
      const servername = settings.servername === undefined ? host : settings.servername;
      const led = connectDirectly.call(this, { ...settings, socket, servername, host, port }, callback);
      // Without a connection of the system's below it, these would do nothing.
      for (const name of ['setNoDelay', 'setKeepAlive', 'ref', 'unref']) {
        led[name] = (...what) => { socket[name](...what); return led; };
      }
      return led;
    } catch (error) {
      if (error && error.code === 'ERR_INVALID_ARG_TYPE') throw error;
      return connectDirectly.apply(this, args);
    }
  }

  tls.connect = connect;
  try {
    require('module').syncBuiltinESMExports();
  } catch (_) {
    // Old versions have none.
  }
})();
