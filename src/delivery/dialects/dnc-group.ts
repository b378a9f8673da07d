import { z } from "zod";
import { failed, notChecked, type Observation, ok } from "../../check/finding.ts";
import { isSuccess, jsonOf } from "./answers.ts";
import type { AuthorizedRequest } from "./check-access.ts";
import type { HttpSend } from "./dialect.ts";

const flag = z.union([z.boolean(), z.stringbool()]);
const group = z.object({ isActive: flag, isRemoved: flag.optional() });
const groups = z.object({ dncGroups: z.array(group).min(1) });
/** Versions of the API differ in how deep the group lies. */
const GroupAnswer = z.union([
  z.object({ resultSet: groups }).transform(({ resultSet }) => resultSet.dncGroups[0]),
  groups.transform(({ dncGroups }) => dncGroups[0]),
  group,
]);
const skills = z.object({ scrubbedSkills: z.array(z.unknown()) });
const SkillsAnswer = z.union([
  skills,
  z.object({ resultSet: skills }).transform(({ resultSet }) => resultSet),
]);

/** Numbers are kept from being called only by a group that is active, and that some skill is scrubbed against. */
export async function checkGroup(
  send: HttpSend,
  { url, token, signal, groupId }: AuthorizedRequest & { groupId: number },
): Promise<Observation[]> {
  const read = (path: string) => {
    const headers = { authorization: `Bearer ${token}`, accept: "application/json" };
    return send({ method: "GET", url: url + path, headers, body: "", signal });
  };
  const [aboutGroup, aboutSkills] = await Promise.all([read(""), read("/scrubbed-skills")]);
  if (aboutGroup.status === 404) {
    return [
      failed("group", `there is no do-not-call group ${groupId}`, "Correct groupId of this environment."),
    ];
  }
  const found = isSuccess(aboutGroup) ? GroupAnswer.safeParse(jsonOf(aboutGroup)).data : undefined;
  const scrubbed = isSuccess(aboutSkills) ? SkillsAnswer.safeParse(jsonOf(aboutSkills)).data : undefined;
  return [
    found === undefined ? unclear("group", "the group", aboutGroup.status) : activity(groupId, found),
    scrubbed === undefined
      ? unclear("skills", "its skills", aboutSkills.status)
      : skillsOf(groupId, scrubbed.scrubbedSkills.length),
  ];
}

const unclear = (check: string, what: string, status: number): Observation =>
  notChecked(
    check,
    `the answer about ${what} can't be used (${status})`,
    "See in CXone that the group is active and assigned to the skills that dial out.",
  );

function activity(groupId: number, { isActive, isRemoved = false }: z.output<typeof group>): Observation {
  if (isActive && !isRemoved) return ok("group", `${groupId} is active`);
  const state = isRemoved ? "is removed" : "isn't active";
  const detail = `${groupId} ${state}: its numbers are called all the same`;
  return failed("group", detail, "Activate the group in CXone, or correct groupId of this environment.");
}

const skillsOf = (groupId: number, count: number): Observation =>
  count > 0
    ? ok("skills", `${count} scrubbed against the group`)
    : failed(
        "skills",
        `no skill is scrubbed against group ${groupId}: its numbers are called all the same`,
        "Assign the group to the skills that dial out, in CXone.",
      );
