/** The page as it is before its script has asked for anything. What is shown is put into it as text, by id. */
export const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Optout Relay</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" id="icon" href="data:,">
<link rel="stylesheet" href="/console/style.css">
<script type="module" src="/console/main.js"></script>
</head>
<body>
<header class="top">
  <p class="product">Optout Relay</p>
  <p class="where" id="where"></p>
  <p class="connection" id="connection">connecting</p>
</header>
<main>
  <section class="headline lost" id="headline" aria-label="How it is">
    <h1 id="headline-text" role="status" aria-live="polite">Asking the relay</h1>
    <p id="headline-detail"></p>
    <ul class="problems" id="problems"></ul>
    <p class="more" id="problems-more" hidden></p>
  </section>
  <p class="loading" id="loading">One moment.</p>
  <noscript><p class="loading">This page takes JavaScript. <a href="/state">/state</a> says the same as JSON.</p></noscript>
  <div id="content" hidden>
    <section aria-labelledby="environments-title">
      <div class="section-head">
        <h2 id="environments-title">Environments</h2>
        <p class="note" id="pausing-note"></p>
      </div>
      <ul class="cards environments" id="environments"></ul>
    </section>
    <section aria-labelledby="partitions-title">
      <div class="section-head">
        <h2 id="partitions-title">Partitions</h2>
        <ul class="legend" aria-label="Batches, oldest first; a block for each environment">
          <li><i class="block mark-a"></i>acknowledged</li>
          <li><i class="block mark-w"></i>waiting</li>
          <li><i class="block mark-s"></i>in pieces</li>
          <li><i class="block mark-r"></i>refused</li>
          <li><i class="block mark-d"></i>settled earlier</li>
        </ul>
      </div>
      <ul class="cards partitions" id="partitions"></ul>
      <p class="empty" id="partitions-none" hidden>This replica owns none.</p>
      <p class="more" id="partitions-more" hidden></p>
    </section>
    <section aria-labelledby="outcomes-title">
      <div class="section-head">
        <h2 id="outcomes-title">Outcomes</h2>
        <dl class="totals">
          <div><dt>delivered</dt><dd id="delivered">0</dd></div>
          <div><dt>in part</dt><dd id="partial">0</dd></div>
          <div><dt>rejected</dt><dd id="rejected">0</dd></div>
          <div class="when">since this replica started</div>
        </dl>
      </div>
      <div class="columns-two">
        <div class="card">
          <h3>Settled last</h3>
          <p class="empty" id="settled-none">Nothing yet.</p>
          <div class="scroll" id="settled-table" tabindex="0" role="region" aria-label="Settled last" hidden><table>
            <thead><tr><th scope="col">time</th><th scope="col">offsets</th><th scope="col">events</th><th scope="col">slowest</th></tr></thead>
            <tbody id="settled"></tbody>
          </table></div>
        </div>
        <div class="card">
          <h3>Not delivered everywhere</h3>
          <p class="empty" id="reasons-none">None.</p>
          <dl class="reasons" id="reasons"></dl>
          <div class="scroll" id="failed-table" tabindex="0" role="region" aria-label="Not delivered everywhere" hidden><table>
            <thead><tr><th scope="col">time</th><th scope="col">offset</th><th scope="col">outcome</th><th scope="col">reason</th></tr></thead>
            <tbody id="failed"></tbody>
          </table></div>
        </div>
      </div>
    </section>
    <section aria-labelledby="replica-title">
      <h2 id="replica-title">This replica</h2>
      <dl class="card replica">
        <div><dt>ready</dt><dd id="ready"></dd></div>
        <div><dt>live</dt><dd id="live"></dd></div>
        <div><dt>phase</dt><dd id="phase"></dd></div>
        <div><dt>up for</dt><dd id="uptime"></dd></div>
        <div><dt>version</dt><dd id="version"></dd></div>
        <div><dt>consumer group</dt><dd id="group"></dd></div>
        <div><dt>partitions owned</dt><dd id="owned"></dd></div>
        <div><dt>times are in</dt><dd id="zone"></dd></div>
      </dl>
    </section>
  </div>
</main>
<dialog id="confirm" aria-labelledby="confirm-title" aria-describedby="confirm-text">
  <form id="confirm-form">
    <h2 id="confirm-title"></h2>
    <p id="confirm-text"></p>
    <p class="field" id="token-field" hidden>
      <label for="token">Admin token (server.adminToken)</label>
      <input id="token" type="password" autocomplete="off" spellcheck="false">
    </p>
    <p class="problem-text" id="confirm-problem" role="alert" hidden></p>
    <p class="buttons">
      <button type="button" class="quiet" id="confirm-cancel">Cancel</button>
      <button type="submit" class="strong" id="confirm-do"></button>
    </p>
  </form>
</dialog>
</body>
</html>
`;
