import { CookieJar } from './cookies.ts'
import { formsOf, metaRefresh, textOf, type Form } from './html.ts'

/** A page as it came. */
export interface Page {
  readonly url: URL
  readonly status: number
  readonly headers: Headers
  readonly html: string
  /** What a person reads. */
  readonly text: string
  readonly forms: readonly Form[]
  /** Where the browser goes by itself. */
  readonly leadsTo: string | undefined
}

/** A person with a browser that keeps cookies and runs no scripts. Two of them share nothing. */
export class Person {
  readonly jar = new CookieJar()

  /** From another site, as a link in a message or a provider's redirect is. */
  async visit (address: string): Promise<Page> {
    return await this.#load(new URL(address), { method: 'GET', crossSite: true })
  }

  /** Sends a form of the page as it is, but for what is entered. `choose` picks the form by a field or value of it. */
  async submit (page: Page, entered: Readonly<Record<string, string>>, choose?: (form: Form) => boolean): Promise<Page> {
    const form = page.forms.find(choose ?? (({ fields }) => Object.keys(entered).every((name) => fields.some((field) => field.name === name))))
    if (form === undefined) throw new Error(`no such form: ${page.text}`)
    const body = new URLSearchParams()
    for (const { name, value } of form.fields) {
      const sent = entered[name] ?? value
      // Radios and buttons share a name, and one of them is sent.
      if (sent !== undefined && !body.has(name)) body.append(name, sent)
    }
    return await this.#load(new URL(form.action, page.url), { method: form.method.toUpperCase(), crossSite: false, body })
  }

  /** Presses the button whose value this is. */
  async press (page: Page, action: string): Promise<Page> {
    return await this.submit(page, { action }, ({ fields }) => fields.some(({ name, options }) => name === 'action' && options.includes(action)))
  }

  async #load (url: URL, request: { method: string, crossSite: boolean, body?: URLSearchParams }): Promise<Page> {
    const cookie = this.jar.header(url, request)
    const response = await fetch(url, { method: request.method, redirect: 'manual', headers: cookie === undefined ? {} : { cookie }, ...request.body && { body: request.body } })
    this.jar.keep(url, response.headers.getSetCookie())
    const html = await response.text()
    return { url, status: response.status, headers: response.headers, html, text: textOf(html), forms: formsOf(html), leadsTo: metaRefresh(html)?.url }
  }
}
