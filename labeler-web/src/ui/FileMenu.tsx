import { useRef } from "preact/hooks";
import { attempt } from "../app/attempt";
import { openCase } from "../app/casework";
import * as S from "../app/state";
import { maskRefs, refreshVersions } from "../app/versions";
import { ServerError } from "../server/api";

/** Import and export of masks. */
export function FileMenu() {
  const nifti = useRef<HTMLInputElement>(null);
  const dicom = useRef<HTMLInputElement>(null);
  const opened = S.open.value;
  const newest = S.versions.value?.versions.at(-1)?.ref;
  const sources = maskRefs().filter((ref) => !/^v\d+$/.test(ref) && ref !== "empty");
  const shut = (): void => {
    S.menuOpen.value = false;
  };
  return (
    <div class="menu" onKeyDown={(event) => event.key === "Escape" && shut()}>
      <button
        type="button"
        aria-haspopup="true"
        aria-expanded={S.menuOpen.value}
        disabled={!opened}
        onClick={() => (S.menuOpen.value = !S.menuOpen.value)}
      >
        File ▾
      </button>
      <input
        ref={nifti}
        type="file"
        hidden
        accept=".nii,.gz"
        aria-label="NIfTI file"
        onChange={(event) => attempt(() => take("nifti", event.currentTarget))}
      />
      <input
        ref={dicom}
        type="file"
        hidden
        accept=".dcm"
        aria-label="DICOM SEG file"
        onChange={(event) => attempt(() => take("dicom-seg", event.currentTarget))}
      />
      {S.menuOpen.value && opened && (
        <div class="menu-items" role="menu" aria-label="Import and export">
          <button
            type="button"
            role="menuitem"
            onClick={() => {
              shut();
              nifti.current?.click();
            }}
          >
            Import NIfTI mask …
          </button>
          <button
            type="button"
            role="menuitem"
            onClick={() => {
              shut();
              dicom.current?.click();
            }}
          >
            Import DICOM SEG …
          </button>
          {sources.map((ref) => (
            <button
              type="button"
              role="menuitem"
              key={ref}
              onClick={() => {
                shut();
                attempt(() => importSource(ref));
              }}
            >
              Keep {ref} as a version
            </button>
          ))}
          <button
            type="button"
            role="menuitem"
            disabled={!newest}
            onClick={() => {
              shut();
              attempt(() => download(newest ?? "", "nii.gz"));
            }}
          >
            Export {newest ?? "a saved version"} as NIfTI
          </button>
          <button
            type="button"
            role="menuitem"
            disabled={!newest || !opened.info.dicom}
            title={opened.info.dicom ? "" : "This case has no DICOM images"}
            onClick={() => {
              shut();
              attempt(() => download(newest ?? "", "dcm"));
            }}
          >
            Export {newest ?? "a saved version"} as DICOM SEG
          </button>
        </div>
      )}
    </div>
  );
}

async function take(format: "nifti" | "dicom-seg", input: HTMLInputElement): Promise<void> {
  const opened = S.open.value;
  const file = input.files?.[0];
  input.value = "";
  if (!opened || !file) return;
  try {
    await imported(opened.info.id, await S.services().api.importFile(opened.info.id, format, file));
  } catch (reason) {
    if (!(reason instanceof ServerError) || !reason.body.segments) throw reason;
    S.segmentsToMap.value = { file, segments: reason.body.segments };
    S.dialog.value = "import";
  }
}

async function importSource(ref: string): Promise<void> {
  const opened = S.open.value;
  if (opened) await imported(opened.info.id, await S.services().api.importSource(opened.info.id, ref));
}

/** A first mask becomes the one that is edited; another waits beside, to be compared. */
export async function imported(caseId: string, version: { ref: string; beside: boolean }): Promise<void> {
  if (version.beside) {
    await refreshVersions();
    S.say(`Imported as ${version.ref}: compare it, or show it beside and copy lesions from it`);
  } else {
    await openCase(caseId);
    S.say(`Imported as ${version.ref}`);
  }
}

export async function download(ref: string, ending: "nii.gz" | "dcm"): Promise<void> {
  const opened = S.open.value;
  if (!opened) return;
  const address = URL.createObjectURL(await S.services().api.exportFile(opened.info.id, ref, ending));
  const link = document.createElement("a");
  link.href = address;
  link.download = `${opened.info.id}_${ref}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  S.say(`Exported ${link.download}`);
}
