import { byId, createList, element, group, setClass, setHidden, setText, type View } from "./dom.ts";
import { counted } from "./format.ts";
import type { Fact, Problem } from "./headline.ts";

/** More than these would push everything else off the screen. */
const SHOWN = 5;

/** Below the headline: what is wrong, since when, how many people wait, and what to do. */
export function createProblems(): (problems: readonly Problem[], headline: string) => void {
  const more = byId("problems-more");
  const update = createList<Shown>(byId("problems"), ({ problem }) => problem.key, createProblem);
  return (problems, headline) => {
    update(problems.slice(0, SHOWN).map((problem) => ({ problem, isTold: problem.title === headline })));
    setHidden(more, problems.length <= SHOWN);
    setText(more, `and ${counted(problems.length - SHOWN, "more problem")}, in the list of environments`);
  };
}

interface Shown {
  problem: Problem;
  /** Its title is the headline. */
  isTold: boolean;
}

function createProblem(): View<Shown> {
  const [title, message, advice] = [element("h3"), element("p", "message"), element("span")];
  const [runbook, page] = [element("code"), element("span", "runbook", "More in docs/runbook.md: ")];
  page.append(runbook);
  const facts = element("dl", "facts");
  const updateFacts = createList<Fact>(facts, ({ label }) => label, createFact);
  const todo = group("p", "todo", element("strong", "", "What to do: "), advice);
  const root = group("li", "problem", title, facts, message, todo, page);
  return {
    root,
    update({ problem, isTold }) {
      setClass(root, `problem ${problem.level}`);
      setText(title, problem.title);
      setHidden(title, isTold);
      updateFacts(problem.facts);
      setText(message, problem.message);
      setText(advice, problem.advice);
      setHidden(page, problem.runbook === null);
      setText(runbook, problem.runbook ?? "");
    },
  };
}

function createFact({ label }: Fact): View<Fact> {
  const value = element("dd");
  return {
    root: group("div", "", element("dt", "", label), value),
    update: (fact) => setText(value, fact.value),
  };
}
