/** Line drawings of the tools, 20 by 20. */
import type { Tool } from "../app/state";

const PATHS: Record<Tool, string> = {
  navigate: "M4 3l5 13 2-5 5-2z",
  brush: "M16 3l-7 8 M8 11c-2 0-3 1-3 3s-1 2-2 2c1 1 6 1 7-2 0-2-1-3-2-3z",
  eraser: "M8 16l-5-5 8-8 6 6-7 7z M6 8l6 6 M8 16h9",
  ball: "M10 3a7 7 0 1 0 .01 0z M3 10c3 3 11 3 14 0 M10 3c-4 4-4 10 0 14",
  threshold: "M14 3l-5 6 M8 9c-2 0-3 1-3 3s-1 2-2 2c1 1 6 1 7-2 0-2-1-3-2-3z M12 16h5 M14 13h3 M16 10h1",
  fill: "M5 9l6-6 6 6-6 7z M5 9h12 M3 13c-1 2-1 3 0 3s1-1 0-3z",
  interpolate: "M4 5h12 M6 10h8 M4 15h12 M10 7v1 M10 12v1",
  pick: "M12 8l-7 7-2 2 M11 6l3 3 M12 5c1-2 3-3 4-2s0 3-2 4l-1 1-2-2z",
  split: "M10 2v16 M7 6c-4 0-5 8 0 8 M13 6c4 0 5 8 0 8",
  ruler: "M3 13L13 3l4 4L7 17z M6 10l2 2 M9 7l2 2 M12 4l2 2",
  circle: "M10 4a6 6 0 1 0 .01 0z M10 10h6",
  box: "M4 4h12v12H4z M8 8h4v4H8z",
};

export function ToolIcon({ tool }: { tool: Tool }) {
  return (
    <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" class="icon">
      <path d={PATHS[tool]} />
    </svg>
  );
}
