/** An agent's running mean of rewards, by its name. */
export type AgentBaselines = Readonly<Record<string, number>>;

/**
 * The distance of each reward from the running mean of its agent, and the means after: for self-play, where one agent's gain
 * is another's loss, so that no mean over both is a baseline.
 *
 * A function for a user's algorithm: episodes of a recipe have one agent.
 *
 * Shapes: rewards, agents [N].
 * Edge:   an agent without a mean starts at 0.
 * @param decay weight of the mean so far, 0.95 in the paper
 * @see Liu et al., "SPIRAL" (role-conditioned advantage estimation, 2025), equations 4 and 5
 */
export function perAgentAdvantage(
  rewards: readonly number[],
  agents: readonly string[],
  baselines: AgentBaselines,
  decay = 0.95,
): { advantages: number[]; baselines: AgentBaselines } {
  const means: Record<string, number> = { ...baselines };
  const advantages = rewards.map((reward, i) => {
    const agent = agents[i]!;
    const mean = decay * (means[agent] ?? 0) + (1 - decay) * reward;
    means[agent] = mean;
    return reward - mean;
  });
  return { advantages, baselines: means };
}
