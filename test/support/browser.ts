import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import axe from 'axe-core'
import { chromium, type BrowserContext, type Page } from 'playwright-core'
import type { Test } from 'tap'

const SCREENS = new URL('../../.screens', import.meta.url).pathname

/** Debian's, or the one that is named. */
const PATHS = [process.env['CHROMIUM_PATH'], '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

export function findBrowser (): string | undefined {
  return PATHS.find((path) => path !== undefined && existsSync(path))
}

/** How each screen is looked at. */
const VIEWS = [
  { name: 'light', colorScheme: 'light', width: 1_100 },
  { name: 'dark', colorScheme: 'dark', width: 1_100 },
  { name: 'narrow', colorScheme: 'light', width: 375 },
  { name: 'narrow-dark', colorScheme: 'dark', width: 375 },
] as const

export interface RealBrowser {
  /** A person's own profile. Pages run no scripts, but for those of this test. */
  open (): Promise<{ context: BrowserContext, page: Page }>
  /** Looks at a page in every view: takes its picture and has it judged by axe-core. */
  look (t: Test, name: string, page: Page): Promise<void>
  readonly looked: ReadonlySet<string>
  close (): Promise<void>
}

export async function startBrowser (executablePath: string): Promise<RealBrowser> {
  mkdirSync(SCREENS, { recursive: true })
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  const looked = new Set<string>()
  // axe needs scripts, which people's pages here don't have: it judges a copy.
  const copy = await (await browser.newContext()).newPage()
  return {
    looked,
    open: async () => {
      const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 1_100, height: 800 } })
      return { context, page: await context.newPage() }
    },
    look: async (t, name, page) => {
      looked.add(name)
      await copy.setContent((await page.content()).replace(/<meta http-equiv="refresh"[^>]*>/, ''))
      await copy.evaluate(axe.source)
      for (const { name: view, colorScheme, width } of VIEWS) {
        for (const one of [page, copy]) {
          await one.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
          await one.setViewportSize({ width, height: 800 })
        }
        await page.screenshot({ path: join(SCREENS, `${name}-${view}.png`), fullPage: true })
        t.equal(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth'), true, `${name}, ${view}: nothing has to be scrolled sideways`)
        const { violations, passes } = await copy.evaluate<{ violations: { id: string, nodes: { html: string }[] }[], passes: unknown[] }>('axe.run()')
        t.strictSame(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`), [], `${name}, ${view}: accessible`)
        t.ok(passes.length > 5, 'the check has looked at something')
      }
      await page.setViewportSize({ width: 1_100, height: 800 })
      await page.emulateMedia({ colorScheme: 'light' })
    },
    close: async () => { await browser.close() },
  }
}
