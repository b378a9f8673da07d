/** Everything that was started, ended in the opposite order. */
export function createCleanup() {
  const tasks: (() => Promise<unknown>)[] = [];
  return {
    add: (task: () => Promise<unknown>) => tasks.push(task),
    async run(): Promise<void> {
      for (const task of tasks.reverse()) await task().catch(() => {});
    },
  };
}

export type Cleanup = ReturnType<typeof createCleanup>;
