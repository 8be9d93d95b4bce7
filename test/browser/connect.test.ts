import type { Page } from 'playwright-core'
import t from 'tap'
import { findBrowser, startBrowser } from '../support/browser.ts'
import { linkCatalog } from '../support/catalog.ts'
import { HOST, startLinkVault } from '../support/linking.ts'
import { json, startProvider } from '../support/provider.ts'
import { startLinear, startSlack, startXero } from '../support/standins/index.ts'

const path = findBrowser()
if (path === undefined) {
  t.plan(0, 'no Chromium here: install it (Debian: apt-get install chromium) or set CHROMIUM_PATH')
  process.exit()
}

const browser = await startBrowser(path)
const [linear, slack, xero] = await Promise.all([startLinear(), startSlack(), startXero()])
const stripe = await startProvider((_received, reply) => { json(reply, 200, { id: 'acct_1Acme', object: 'account', livemode: false, settings: { dashboard: { display_name: 'Acme' } } }) })
const standins = { linear, slack, xero, stripe }
const vault = await startLinkVault(standins, { CATALOG_DIR: linkCatalog(standins) })
t.teardown(async () => {
  await browser.close()
  await vault.close()
  await Promise.all([linear, slack, xero, stripe].map((standin) => standin.close()))
})
for (const standin of [linear, slack, xero]) await vault.enterApp(standin)
const W = 'ws_acme'

/** A page of the person's, for which the host product is there and a provider's pages can be held back. */
async function open (): Promise<{ page: Page, hold: (pattern: string) => Promise<void>, release: () => Promise<void> }> {
  const { context, page } = await browser.open()
  await context.route(`${HOST}/**`, async (route) => { await route.fulfill({ contentType: 'text/html', body: '<!DOCTYPE html><html lang="en"><title>Host</title><h1>Back at the host</h1>' }) })
  let held: string | undefined
  const keep = async (route: { abort (reason: string): Promise<void> }) => { await route.abort('aborted') }
  return {
    page,
    // The page that leads away by itself stays to be looked at.
    hold: async (pattern) => {
      held = pattern
      await context.route(pattern, keep)
    },
    release: async () => { await context.unroute(held ?? '', keep) },
  }
}

const session = async (changes: Record<string, unknown>) => await vault.openSession(W, { actor: 'ada@acme.example', ...changes })
const submit = async (page: Page) => { await page.locator('button.main').click() }

t.test('an API key, pasted', async (t) => {
  const { page, hold, release } = await open()
  const { url, id } = await session({ integrations: ['stripe', 'linear', 'slack', 'xero'], name: 'Acme billing', labels: {} })
  await page.goto(url)
  await browser.look(t, 'choose-integration', page)
  await page.getByRole('link', { name: /Stripe/ }).click()
  await browser.look(t, 'paste', page)

  await page.getByLabel('Secret or restricted key').fill('pk_test_notTheRightOne0000')
  await page.getByLabel('API version').fill('latest')
  await submit(page)
  await browser.look(t, 'paste-errors', page)
  t.match(await page.locator('[role=alert]').textContent(), /publishable key/)
  t.equal(await page.getByLabel('Secret or restricted key').inputValue(), '', 'a secret is never sent back')
  t.equal(await page.getByLabel('API version').inputValue(), 'latest', 'what is not secret is')
  t.equal(await page.getByLabel('Secret or restricted key').getAttribute('type'), 'password')

  stripe.answer = (_received, reply) => { json(reply, 401, { error: { type: 'invalid_request_error', message: 'Invalid API Key provided' } }) }
  await page.getByLabel('API version').fill('')
  await page.getByLabel('Secret or restricted key').fill('sk_test_51RefusedRefusedRefused')
  await submit(page)
  t.match(await page.locator('[role=alert]').textContent(), /does not accept it/)
  await browser.look(t, 'paste-refused', page)

  stripe.answer = (_received, reply) => { reply.destroy() }
  await page.getByLabel('Secret or restricted key').fill('sk_test_51GoodGoodGoodGood4242')
  await submit(page)
  await browser.look(t, 'unreachable', page)

  stripe.answer = (_received, reply) => { json(reply, 200, { id: 'acct_1Acme', object: 'account', livemode: false }) }
  await page.goto(url)
  await page.getByRole('link', { name: /Stripe/ }).click()
  await page.getByLabel('Secret or restricted key').fill('sk_test_51GoodGoodGoodGood4242')
  await hold(`${HOST}/**`)
  await submit(page)
  await page.getByRole('link', { name: 'Continue to Rapidfolio' }).waitFor()
  await browser.look(t, 'linked', page)
  await page.goto(url)
  await browser.look(t, 'confirming', page)
  await release()
  await submit(page)
  await page.waitForURL(`${HOST}/**`)
  t.match(await page.textContent('h1'), 'Back at the host')
  const code = new URL(page.url()).searchParams.get('completion_code') ?? ''
  t.match(await vault.complete(W, { sessionId: id, code }, { actor: 'ada@acme.example' }), { status: 200, body: { name: 'Acme billing', preview: { secret_key: 'sk_test_…4242' } } })
  await page.goto(url)
  t.match(await page.textContent('h1'), 'Already connected')
  await browser.look(t, 'already', page)
})

t.test('OAuth, by the keyboard alone', async (t) => {
  const { page, hold, release } = await open()
  const { url, id } = await session({ integration: 'linear', name: 'Tickets' })
  await page.goto(url)
  await browser.look(t, 'choose-way', page)
  const tabTo = async (name: RegExp) => {
    for (let at = 0; at < 20; at++) {
      await page.keyboard.press('Tab')
      const text = await page.evaluate<string>('document.activeElement.textContent')
      if (name.test(text)) {
        t.ok(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle !== "none"'), 'where one is can be seen')
        return
      }
    }
    t.fail(`nothing called ${name.source} can be reached`)
  }
  await tabTo(/Sign in with Linear/)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Continue to Linear' }).waitFor()
  await browser.look(t, 'consent', page)
  await hold(`${linear.url}/**`)
  await tabTo(/^Continue to Linear$/)
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: 'Continue to Linear' }).waitFor()
  await browser.look(t, 'leaving', page)
  await release()
  await tabTo(/^Continue to Linear$/)
  await page.keyboard.press('Enter')
  await page.waitForURL(`${HOST}/**`)
  const code = new URL(page.url()).searchParams.get('completion_code') ?? ''
  const made = await vault.complete(W, { sessionId: id, code }, { actor: 'ada@acme.example' })
  t.match(made, { status: 200, body: { status: 'active', account: { label: 'Acme' } } })

  // Reached anew, by somebody who is signed in elsewhere.
  linear.choice.account = 'globex'
  const again = await session({ connection_id: made.body.id as string })
  await page.goto(`${again.url}?integration=linear&auth=oauth`)
  await submit(page)
  await page.getByRole('heading', { name: 'That is another account' }).waitFor()
  await browser.look(t, 'wrong-account', page)
  t.match(await page.textContent('main'), /belongs to Acme, and you signed in to Globex/)
  linear.choice.account = 'acme'
  await page.getByRole('link', { name: 'Try again' }).click()
  await page.goto(`${again.url}?integration=linear&auth=oauth`)
  await submit(page)
  await page.waitForURL(`${HOST}/**`)
})

t.test('several accounts', async (t) => {
  const { page } = await open()
  xero.choice.account = 'several'
  const { url } = await session({ integration: 'xero', name: 'Books', confirmation: 'none', return_url: undefined })
  await page.goto(url)
  await submit(page)
  await page.getByRole('heading', { name: /Which organisation/ }).waitFor()
  await browser.look(t, 'pick', page)
  await page.getByLabel(/Globex GmbH/).check()
  await browser.look(t, 'picked', page)
  await submit(page)
  await page.getByRole('heading', { name: 'Xero is connected' }).waitFor()
  await browser.look(t, 'connected', page)
})

t.test('what does not work out', async (t) => {
  const { page } = await open()
  slack.choice.deny = true
  const { url } = await session({ integration: 'slack', name: 'Chat' })
  const consent = `${url}?integration=slack&auth=oauth`
  await page.goto(consent)
  await browser.look(t, 'consent-slack', page)
  await submit(page)
  await page.getByRole('heading', { name: 'Slack did not agree' }).waitFor()
  await browser.look(t, 'refused', page)
  delete slack.choice.deny

  slack.fail.token = ['invalid_client']
  await page.goto(consent)
  await submit(page)
  await page.getByRole('heading', { name: 'Slack is not set up correctly' }).waitFor()
  await browser.look(t, 'not-set-up', page)
  slack.fail.token = ['reset']
  await page.goto(consent)
  await submit(page)
  await page.getByRole('heading', { name: 'Slack did not answer as expected' }).waitFor()
  await browser.look(t, 'lost', page)
  await page.goBack()
  await page.goto(`${vault.urls.public}/oauth/callback/app_00000000000000000000000000?state=x&code=y`)
  await browser.look(t, 'stale', page)

  const other = await open()
  await other.page.goto(url)
  await browser.look(t, 'elsewhere', other.page)
  await page.goto(consent)
  await page.getByRole('button', { name: 'Cancel' }).click()
  await browser.look(t, 'cancelled', page)
  t.match(await page.getByRole('link', { name: 'Back to Rapidfolio' }).getAttribute('href'), /^https:\/\/app\.example\.com\/connections\/linked\?tab=1&session_id=cs_\w+&error=cancelled$/)
  await page.goto(`${vault.urls.public}/connect/${'A'.repeat(43)}`)
  await browser.look(t, 'nowhere', page)

  const late = await session({ integration: 'slack', name: 'Late' })
  await vault.database.advance('16 minutes')
  await page.goto(late.url)
  await browser.look(t, 'ended', page)
  await vault.database.setReachable(false)
  await page.goto(late.url)
  await browser.look(t, 'down', page)
  await vault.database.setReachable(true)
})

t.test('every screen was looked at', async (t) => {
  t.ok(browser.looked.size >= 20, [...browser.looked].join(', '))
})
