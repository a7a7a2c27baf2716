// Browsers start no worker from a file that was opened without a server. There the search of this site runs in a hidden frame,
// which takes the worker's place: `IFrameWorker` is the name by which the search knows it.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const inner = frame.contentWindow
      const load = address => new Promise((done, failed) => {
        const script = inner.document.createElement("script")
        script.src = address
        script.onload = done
        script.onerror = failed
        inner.document.body.append(script)
      })
      inner.importScripts = (...addresses) => addresses.reduce((before, address) => before.then(() => load(address)), Promise.resolve())
      inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", {data}))
      this.inner = inner
      this.ready = load(url)
    }

    set onmessage(listener) {
      this.addEventListener("message", listener)
    }

    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", {data})))
    }

    terminate() {}
  }
  window.Worker = window.IFrameWorker
}
