import { KEYS, TOOLS } from "../app/keys";
import { ToolIcon } from "./icons";

/** The functions of the CT Labeler in the words of the paper, each with where it is here. */
const FUNCTIONS: readonly (readonly [string, string])[] = [
  [
    "Automatic loading of image, mask and report",
    "Opening a case loads its four phases from the slice you see outward, its newest mask and its reports.",
  ],
  [
    "Automatic windowing",
    "Each phase gets its own window from the liver's HU; W brings it back, right-drag and Shift+1 to 5 change it.",
  ],
  [
    "3D connected regions",
    "Click a lesion: the whole lesion in all slices is selected, in every pane. The table lists each with volume and diameter.",
  ],
  ["Lesion boundary display", "Contour, fill or both (O); hold H to see the bare picture."],
  ["Mask editing: update", "Brushes, fill, interpolation, split and types 1 to 6, for voxels and for whole lesions."],
  [
    "Mask editing: copy",
    "Choose another version under Beside, Ctrl+C over its lesion, Ctrl+V. A slice of a lesion is copied to another slice the same way.",
  ],
  ["Mask editing: delete", "0 deletes the selected lesions; what was liver becomes liver again."],
  [
    "Intelligent Editing",
    "Compare lists how two masks differ, lesion by lesion; N walks, A accepts, R keeps, 1 to 6 retypes, Enter accepts and goes on. Save makes the merged mask a version.",
  ],
  ["Mask 00", "Boxes round pathology-proven tumours stand in the table and become lesions there."],
];

const GROUPS = ["Look", "Tools", "Lesions", "Compare", "Work"] as const;

export function Help() {
  return (
    <div class="scroll help" tabIndex={0} role="region" aria-label="Help text">
      <section>
        <h3>What it does</h3>
        <dl>
          {FUNCTIONS.map(([name, words]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{words}</dd>
            </div>
          ))}
        </dl>
      </section>
      <section>
        <h3>Tools</h3>
        <ul class="tool-help">
          {TOOLS.map((one) => (
            <li key={one.id}>
              <ToolIcon tool={one.id} />
              <b>{one.name}</b> <kbd>{one.key}</kbd> {one.does}
            </li>
          ))}
        </ul>
      </section>
      <section>
        <h3>Keys</h3>
        <div class="key-groups">
          {GROUPS.map((group) => (
            <table key={group} class="keys">
              <caption>{group}</caption>
              <tbody>
                {KEYS.filter((one) => one.group === group && one.shown).map((one) => (
                  <tr key={one.shown}>
                    <th scope="row">
                      <kbd>{one.shown}</kbd>
                    </th>
                    <td>{one.does}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          ))}
        </div>
        <p class="hint">
          Keys rest while you type. Nothing is lost without undo: every step is kept by the server as soon as it is
          done, and Save never overwrites a file.
        </p>
      </section>
    </div>
  );
}
