import { html } from 'ghtml'
import { renderDeeds, renderPage, type Deed, type Page } from './page.ts'

export interface Message {
  readonly sign: 'good' | 'bad' | 'wait' | 'go'
  readonly title: string
  readonly text: readonly string[]
  /** In small print: a reference for those who are asked for help, a provider's own words. */
  readonly note?: string | undefined
  readonly deeds?: readonly Deed[] | undefined
}

const SIGNS = { good: '✓', bad: '!', wait: '…', go: '→' } as const

/** A page that says one thing and how to go on. */
export function renderMessage (message: Message, frame: Omit<Page, 'title' | 'body'>): string {
  const { sign, title, text, note, deeds = [] } = message
  const body = html`
<div class="sign ${sign}" aria-hidden="true">${SIGNS[sign]}</div>
<h1>${title}</h1>
!${text.map((line) => html`<p class="lead">${line}</p>`)}
!${renderDeeds(deeds)}
!${note === undefined ? '' : html`<p class="note">${note}</p>`}
`
  return renderPage({ ...frame, title, body })
}
