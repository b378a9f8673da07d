// Sample opt-outs for `docker compose up`: one every two seconds, from web forms and an IVR, now and then a broken one.
const gateway = process.env.GATEWAY ?? "http://127.0.0.1:8080";
const everyMs = Number(process.env.EVERY_MS ?? 2_000);
// Numbers of these areas that are kept for fiction, 555-0100 to 555-0199: nobody has them.
const areas = ["212", "213", "312", "415", "617", "702"];

const say = (what) => process.stdout.write(`${what}\n`);
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const sample = (count) => {
  if (count % 20 === 0) return { phone: "12", source: "web" };
  const last = String(Math.floor(Math.random() * 100)).padStart(2, "0");
  return { phone: `(${pick(areas)}) 555-01${last}`, source: count % 3 === 0 ? "ivr" : "web" };
};

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));

for (let count = 1; ; count++) {
  try {
    const { status } = await fetch(`${gateway}/opt-out`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(sample(count)),
    });
    if (status !== 202 && status !== 400) say(`the gateway answers ${status}`);
  } catch {
    say("the gateway isn't reached; trying again");
  }
  await new Promise((resolve) => setTimeout(resolve, everyMs));
}
