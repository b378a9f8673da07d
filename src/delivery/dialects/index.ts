import { adminDncGroups } from "./admin-dnc-groups.ts";
import { complianceDnc } from "./compliance-dnc.ts";

/** The APIs that an environment can speak; the first is the default. */
export const dialects = [complianceDnc, adminDncGroups];
