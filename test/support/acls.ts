import kafkajs from "kafkajs";

/** What kafkajs' access control entries are made of. */
export const {
  AclResourceTypes: Resource,
  AclOperationTypes: Operation,
  AclPermissionTypes: Permission,
  ResourcePatternTypes: Pattern,
} = kafkajs;
