/** The one style sheet of the hosted pages; it stands in the page, and the policy names its digest. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f3f4f7; --card: #fff; --text: #16181d; --soft: #565c69; --line: #d9dce3; --field: #fff; --edge: #8a90a0;
  --accent: #2f4ad0; --accent-strong: #24399f; --on-accent: #fff; --tint: #eef1fd;
  --bad: #a8231f; --bad-tint: #fdefee; --good: #17693b; --good-tint: #e9f6ee; --warn: #7a4b00; --warn-tint: #fdf3e1;
  --shadow: 0 1px 2px rgb(20 24 40 / 6%), 0 12px 32px rgb(20 24 40 / 8%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1015; --card: #181b22; --text: #eceef3; --soft: #a6adbb; --line: #2c313c; --field: #10131a; --edge: #6c7485;
    --accent: #91a4ff; --accent-strong: #b4c1ff; --on-accent: #0f1430; --tint: #1f2540;
    --bad: #ff9c96; --bad-tint: #35191a; --good: #7fd8a2; --good-tint: #13301f; --warn: #f2c26b; --warn-tint: #33270f;
    --shadow: 0 1px 2px rgb(0 0 0 / 40%), 0 12px 32px rgb(0 0 0 / 35%);
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; min-height: 100vh; min-height: 100dvh; display: flex; flex-direction: column; align-items: center; padding: 48px 16px 24px;
  background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { width: 100%; max-width: 460px; background: var(--card); border: 1px solid var(--line); border-radius: 16px; box-shadow: var(--shadow); padding: 32px; }
.brand { width: 100%; max-width: 460px; display: flex; align-items: center; justify-content: space-between; gap: 12px; margin: 0 0 16px; padding: 0 4px; font-weight: 600; }
.badge { font-size: 13px; font-weight: 600; line-height: 1; padding: 6px 10px; border-radius: 999px; background: var(--tint); color: var(--accent-strong); }
.badge.sandbox { background: var(--warn-tint); color: var(--warn); }
h1 { margin: 0 0 8px; font-size: 22px; line-height: 1.3; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { margin: 24px 0 8px; font-size: 14px; font-weight: 600; }
p { margin: 0 0 12px; overflow-wrap: anywhere; }
.lead, .note { color: var(--soft); }
.note { font-size: 14px; margin: 16px 0 0; }
a { color: var(--accent); text-underline-offset: 3px; }
.pair { display: flex; align-items: center; gap: 12px; margin: 0 0 20px; }
.mark { flex: none; width: 44px; height: 44px; border-radius: 12px; display: grid; place-items: center; font-weight: 700; font-size: 19px; color: #fff; background: #3d4658; }
.mark.small { width: 36px; height: 36px; border-radius: 10px; font-size: 16px; }
.tone-0 { background: #4338ca; } .tone-1 { background: #0f766e; } .tone-2 { background: #a21caf; } .tone-3 { background: #b45309; } .tone-4 { background: #be123c; } .tone-5 { background: #1d4ed8; }
.link-line { flex: none; width: 28px; border-top: 2px dashed var(--edge); }
.sign { width: 44px; height: 44px; border-radius: 50%; display: grid; place-items: center; margin: 0 0 20px; font-size: 22px; font-weight: 700; }
.sign.good { background: var(--good-tint); color: var(--good); } .sign.bad { background: var(--bad-tint); color: var(--bad); } .sign.wait { background: var(--warn-tint); color: var(--warn); } .sign.go { background: var(--tint); color: var(--accent-strong); }
.facts { margin: 20px 0 0; padding: 12px 16px; border: 1px solid var(--line); border-radius: 12px; font-size: 14px; }
.facts div { display: flex; justify-content: space-between; gap: 16px; padding: 4px 0; }
.facts dt { color: var(--soft); flex: none; }
.facts dd { margin: 0; text-align: right; overflow-wrap: anywhere; min-width: 0; }
.scopes { display: flex; flex-wrap: wrap; gap: 6px; margin: 0; padding: 0; list-style: none; }
.scopes code { display: block; font: 13px/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace; padding: 4px 8px; border-radius: 6px; background: var(--tint); color: var(--accent-strong); overflow-wrap: anywhere; }
form { margin: 0; }
.field { margin: 18px 0 0; }
.field label { display: block; font-weight: 600; font-size: 15px; }
.optional { font-weight: 400; color: var(--soft); }
.hint { margin: 2px 0 0; font-size: 14px; color: var(--soft); }
.field input, .field select {
  width: 100%; margin: 6px 0 0; padding: 10px 12px; font: inherit; color: var(--text); background: var(--field); border: 1px solid var(--edge); border-radius: 10px; min-height: 44px;
}
.field input[aria-invalid], .field select[aria-invalid] { border-color: var(--bad); border-width: 2px; }
.wrong { margin: 6px 0 0; font-size: 14px; color: var(--bad); font-weight: 500; }
.alert { margin: 0 0 20px; padding: 12px 16px; border-radius: 12px; background: var(--bad-tint); color: var(--bad); font-size: 15px; }
.alert p { margin: 0; } .alert ul { margin: 6px 0 0; padding: 0 0 0 18px; } .alert a { color: inherit; }
.choices { margin: 20px 0 0; padding: 0; list-style: none; display: grid; gap: 10px; }
.choice { display: flex; align-items: center; gap: 14px; padding: 12px 14px; border: 1px solid var(--line); border-radius: 12px; min-height: 60px; color: inherit; text-decoration: none; cursor: pointer; }
.choice:hover { border-color: var(--accent); }
.choice:has(input:checked) { border-color: var(--accent); background: var(--tint); }
.choice span { min-width: 0; overflow-wrap: anywhere; }
.choice b { display: block; font-weight: 600; }
.choice small { display: block; font-size: 14px; color: var(--soft); }
.choice .arrow { margin-left: auto; color: var(--soft); }
.choice input { flex: none; width: 20px; height: 20px; margin: 0; accent-color: var(--accent); }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
legend { padding: 0; }
.actions { display: flex; flex-direction: column; gap: 10px; margin: 24px 0 0; }
form + .actions { margin-top: 10px; }
.button { display: block; width: 100%; padding: 12px 16px; border: 1px solid transparent; border-radius: 10px; font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer; min-height: 48px; }
.button.main { background: var(--accent); color: var(--on-accent); }
.button.main:hover { background: var(--accent-strong); }
.button.quiet { background: transparent; color: var(--text); border-color: var(--edge); }
.button.quiet:hover { border-color: var(--text); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.choice:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; } .choice input:focus-visible { outline: none; }
footer { max-width: 460px; margin: 20px 0 0; padding: 0 4px; font-size: 13px; color: var(--soft); text-align: center; }
@media (max-width: 480px) { body { padding: 20px 12px 16px; } main { padding: 24px 20px; } }
@media (forced-colors: active) { .mark, .sign, .badge { border: 1px solid; } }
`
