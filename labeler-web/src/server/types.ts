/** Shapes of the HTTP interface, made from `openapi.json` by `npm run types`: do not edit. */
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * BoxList
         * @description Boxes of mask 00, and why those of the case's file cannot be read.
         */
        BoxList: {
            /** Boxes */
            boxes: components["schemas"]["BoxRecord"][];
            error: components["schemas"]["Fault"] | null;
        };
        /**
         * BoxRecord
         * @description A box of mask 00.
         *
         *     Attributes:
         *         id: Name of the box.
         *         box: Half-open box.
         *         label: Type of the lesion, None if unknown.
         *         evidence: What the type rests on.
         *         note: Note of the reader.
         *         status: What became of the box.
         *         source: Origin of the box.
         *         user: Reader who drew or changed it.
         *         time: Time of the last change.
         */
        BoxRecord: {
            /** Id */
            id: string;
            /** Box */
            box: [
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ]
            ];
            /** Label */
            label: number | null;
            /** Evidence */
            evidence: string;
            /** Note */
            note: string;
            /**
             * Status
             * @enum {string}
             */
            status: "open" | "seeded" | "needs_drawing";
            /**
             * Source
             * @enum {string}
             */
            source: "file" | "reader";
            /** User */
            user: string | null;
            /** Time */
            time: string | null;
        };
        /**
         * CaseInfo
         * @description Everything of a case but its voxels.
         *
         *     Attributes:
         *         id: Name of the case.
         *         state: State in the work list.
         *         head: Mask on which the next edit starts.
         *         grid: Grid of the masks, None if no phase can be read.
         *         reference: Phase whose grid it is.
         *         phases: All four phases.
         *         masks: Versions, newest first, then the masks that came with the case.
         *         report: Report files of the case.
         *         dicom: True if the case has its DICOM study.
         *         erase_label: Label that an eraser writes.
         *         notices: What a reader should know of the images.
         *         boxes: Number of boxes of mask 00.
         *         measurements: Number of measurements that are kept.
         */
        CaseInfo: {
            /** Id */
            id: string;
            /**
             * State
             * @enum {string}
             */
            state: "new" | "in_progress" | "done";
            /** Head */
            head: string;
            grid: components["schemas"]["GridInfo"] | null;
            /** Reference */
            reference: ("NC" | "AP" | "VP" | "DP") | null;
            /** Phases */
            phases: {
                [key: string]: components["schemas"]["PhaseInfo"];
            };
            /** Masks */
            masks: (components["schemas"]["VersionMask"] | components["schemas"]["SourceMask"])[];
            report: components["schemas"]["ReportFiles"];
            /** Dicom */
            dicom: boolean;
            /** Erase Label */
            erase_label: number;
            /** Notices */
            notices: components["schemas"]["ImageNotice"][];
            /** Boxes */
            boxes: number;
            /** Measurements */
            measurements: number;
        };
        /**
         * CaseRow
         * @description One line of the work list.
         *
         *     Attributes:
         *         id: Name of the case.
         *         state: State that a reader gave it.
         *         phases: Phases that are there, or DICOM.
         *         head: Last version that was not saved beside, None if there is none.
         *         versions: Number of versions.
         *         user: Reader of the last event.
         *         time: Time of the last event.
         *         report: True if there is a report.
         *         second_reader: Differences of the last version that wait for a second reader.
         */
        CaseRow: {
            /** Id */
            id: string;
            /**
             * State
             * @enum {string}
             */
            state: "new" | "in_progress" | "done";
            /** Phases */
            phases: ("NC" | "AP" | "VP" | "DP" | "DICOM")[];
            /** Head */
            head: string | null;
            /** Versions */
            versions: number;
            /** User */
            user: string | null;
            /** Time */
            time: string | null;
            /** Report */
            report: boolean;
            /** Second Reader */
            second_reader: number;
        };
        /**
         * CaseStateRequest
         * @description State in the work list.
         */
        CaseStateRequest: {
            /**
             * State
             * @enum {string}
             */
            state: "new" | "in_progress" | "done";
        };
        /**
         * ComponentInfo
         * @description A lesion, or a connected part of an organ.
         *
         *     Attributes:
         *         label: Label; of a lesion the type of most voxels.
         *         voxels: Number of voxels.
         *         volume_ml: Volume in ml.
         *         slices: First and last slice.
         *         slice: Slice with the largest cross-section.
         *         at: Voxel of it in that slice, nearest to the middle.
         *         centroid: Centre of mass, LPS mm (x, y, z).
         *         box: Half-open box round it.
         *         first: Smallest flat index.
         */
        ComponentInfo: {
            /** Label */
            label: number;
            /** Voxels */
            voxels: number;
            /** Volume Ml */
            volume_ml: number;
            /** Slices */
            slices: [
                number,
                number
            ];
            /** Slice */
            slice: number;
            /** At */
            at: [
                number,
                number,
                number
            ];
            /** Centroid */
            centroid: [
                number,
                number,
                number
            ];
            /** Box */
            box: [
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ]
            ];
            /** First */
            first: number;
        };
        /**
         * CopyRequest
         * @description A lesion of another mask.
         */
        CopyRequest: {
            /** From */
            from: string;
            /** At */
            at: [
                number,
                number,
                number
            ];
            /** Label */
            label?: number | null;
            /** Slice */
            slice?: number | null;
            /** To Slice */
            to_slice?: number | null;
        };
        /**
         * DeleteRequest
         * @description Lesions under the points go away.
         */
        DeleteRequest: {
            /** At */
            at: [
                number,
                number,
                number
            ][];
        };
        /**
         * DifferenceList
         * @description Two masks compared lesion by lesion.
         *
         *     Attributes:
         *         old: Old mask.
         *         new: New mask.
         *         connectivity: Neighbours of a voxel in a lesion: eight in its slice, one above, one below.
         *         counts: Number of differences of each kind.
         *         open: Differences without a verdict.
         *         of: Differences that need one.
         *         differences: Most important first.
         */
        DifferenceList: {
            /** Old */
            old: string;
            /** New */
            new: string;
            /** Connectivity */
            connectivity: number;
            /** Counts */
            counts: {
                [key: string]: number;
            };
            /** Open */
            open: number;
            /** Of */
            of: number;
            /** Differences */
            differences: components["schemas"]["DifferenceRow"][];
        };
        /**
         * DifferenceRow
         * @description Lesions of two masks that share voxels, or what differs in the organs.
         *
         *     Attributes:
         *         id: Name of the difference, the same as long as the two masks are.
         *         kind: What became of the lesions.
         *         types: Types of both sides in words.
         *         old: Lesions of the old mask, largest first.
         *         new: Lesions of the new mask, largest first.
         *         old_ml: Volume of the old lesions.
         *         new_ml: Volume of the new lesions.
         *         changed_ml: Volume whose labels differ.
         *         dice: Overlap of the lesion voxels, without types.
         *         box: Half-open box round the region.
         *         slices: First and last slice.
         *         at: Voxel to look at.
         *         verdict: Judgement of the asking reader.
         */
        DifferenceRow: {
            /** Id */
            id: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "added" | "removed" | "relabelled" | "split" | "merged" | "boundary" | "same";
            /** Types */
            types: string;
            /** Old */
            old: components["schemas"]["SideLesion"][];
            /** New */
            new: components["schemas"]["SideLesion"][];
            /** Old Ml */
            old_ml: number;
            /** New Ml */
            new_ml: number;
            /** Changed Ml */
            changed_ml: number;
            /** Dice */
            dice: number;
            /** Box */
            box: [
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ]
            ];
            /** Slices */
            slices: [
                number,
                number
            ];
            /** At */
            at: [
                number,
                number,
                number
            ];
            verdict: components["schemas"]["DifferenceVerdict"] | null;
        };
        /**
         * DifferenceVerdict
         * @description A judgement on a difference, as draft and version keep it.
         *
         *     Attributes:
         *         difference: Difference that was judged.
         *         kind: Kind of the difference.
         *         verdict: Judgement.
         *         label: Type that the region was given, if any.
         *         shape: Side whose outline was taken, if any.
         *         time: Time of the judgement.
         */
        DifferenceVerdict: {
            /** Difference */
            difference: string;
            /** Kind */
            kind: string;
            /**
             * Verdict
             * @enum {string}
             */
            verdict: "accept" | "keep" | "relabel" | "second_reader" | "edited" | "clear";
            /** Label */
            label: number | null;
            /** Shape */
            shape: ("old" | "new") | null;
            /** Time */
            time?: string;
        };
        /**
         * DraftState
         * @description State of a draft.
         *
         *     Attributes:
         *         draft: Name of the draft.
         *         case: Name of the case.
         *         user: Reader whose draft it is.
         *         base: Mask it was begun on.
         *         parent: Mask that the next version names as its parent.
         *         head: Head of the case.
         *         n: Confirmed records of the journal; what ``If-Match`` must name.
         *         position: Steps that are applied.
         *         steps_count: Number of steps.
         *         steps: Steps, None where they were not asked for.
         *         saved_position: Triplet of the last save, None if its steps were dropped.
         *         dirty: True if a version would hold something new.
         *         recovery: Offer to go on with unsaved steps.
         *         undo: Name of the step that undo would take back.
         *         redo: Name of the step that redo would bring again.
         *         mask_sha256: SHA-256 of the working mask, None where steps were not asked for.
         */
        DraftState: {
            /** Draft */
            draft: string;
            /** Case */
            case: string;
            /** User */
            user: string;
            /** Base */
            base: string;
            /** Parent */
            parent: string;
            /** Head */
            head: string;
            /** N */
            n: number;
            /** Position */
            position: number;
            /** Steps Count */
            steps_count: number;
            /** Steps */
            steps: components["schemas"]["DraftStep"][] | null;
            /** Saved Position */
            saved_position: number | null;
            /** Dirty */
            dirty: boolean;
            recovery: components["schemas"]["RecoveryOffer"] | null;
            /** Undo */
            undo: string | null;
            /** Redo */
            redo: string | null;
            /** Mask Sha256 */
            mask_sha256: string | null;
        };
        /**
         * DraftStep
         * @description A named step and the number of voxels it changed.
         */
        DraftStep: {
            /** Number */
            number: number;
            /** Name */
            name: string;
            /** Kind */
            kind: string;
            /** Voxels */
            voxels: number;
            /** Time */
            time: string;
            verdict: components["schemas"]["DifferenceVerdict"] | null;
        };
        /**
         * DrawBoxRequest
         * @description A box of mask 00.
         */
        DrawBoxRequest: {
            /** Box */
            box: [
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ]
            ];
            /** Label */
            label?: number | null;
            /**
             * Evidence
             * @default pathology
             * @enum {string}
             */
            evidence?: "pathology" | "report" | "imaging" | "none";
            /**
             * Note
             * @default
             */
            note?: string;
        };
        /**
         * ErrorAnswer
         * @description Body of every error.
         */
        ErrorAnswer: {
            error: components["schemas"]["ErrorDetail"];
        };
        /**
         * ErrorDetail
         * @description Why a request was refused, with further fields for some codes.
         *
         *     Attributes:
         *         state: State of the draft (``DRAFT_MOVED``).
         *         head: Head of the case (``VERSION_CONFLICT``).
         *         parent: Mask that the version was drawn on (``VERSION_CONFLICT``).
         *         segments: Segments whose label is not known (``SEG_UNKNOWN_SEGMENTS``).
         */
        ErrorDetail: {
            /** Code */
            code: string;
            /** Message */
            message: string;
            /** Remedy */
            remedy: string;
            state?: components["schemas"]["DraftState"];
            /** Head */
            head?: string;
            /** Parent */
            parent?: string;
            /** Segments */
            segments?: components["schemas"]["UnknownSegment"][];
        };
        /**
         * EvidenceList
         * @description Evidence that belongs to a lesion of a mask, and evidence that has lost its lesion.
         */
        EvidenceList: {
            /** Evidence */
            evidence: components["schemas"]["EvidenceRecord"][];
            /** Without Lesion */
            without_lesion: components["schemas"]["EvidenceRecord"][];
        };
        /**
         * EvidenceRecord
         * @description What the type of the lesion at a voxel rests on; ``id`` in the answer to a request that writes it.
         */
        EvidenceRecord: {
            /** Id */
            id?: string;
            /** At */
            at: [
                number,
                number,
                number
            ];
            /**
             * Evidence
             * @enum {string}
             */
            evidence: "pathology" | "report" | "imaging" | "none";
            /** Note */
            note: string;
            /** User */
            user: string;
            /** Time */
            time: string;
        };
        /**
         * EvidenceRequest
         * @description What a lesion's type rests on.
         */
        EvidenceRequest: {
            /** At */
            at: [
                number,
                number,
                number
            ];
            /**
             * Evidence
             * @enum {string}
             */
            evidence: "pathology" | "report" | "imaging" | "none";
            /**
             * Note
             * @default
             */
            note?: string;
        };
        /**
         * Fault
         * @description What is wrong, in a stable code and in words.
         *
         *     Attributes:
         *         code: Stable upper-case code.
         *         message: Sentence with the value found.
         *         remedy: What to do about it.
         */
        Fault: {
            /** Code */
            code: string;
            /** Message */
            message: string;
            /** Remedy */
            remedy: string;
        };
        /**
         * FillHolesRequest
         * @description Holes of the component under the point.
         */
        FillHolesRequest: {
            /** At */
            at: [
                number,
                number,
                number
            ];
        };
        /**
         * GotoRequest
         * @description How many steps to apply.
         */
        GotoRequest: {
            /** Position */
            position: number;
        };
        /**
         * GridInfo
         * @description Where the voxels lie.
         *
         *     Attributes:
         *         shape: Voxels along z, y, x.
         *         spacing: mm along z, y, x.
         *         origin: Triplet of the first voxel, LPS mm (x, y, z).
         *         direction: Directions of z, y, x in LPS.
         *         affine: Matrix from (z, y, x, 1) to LPS mm.
         *         stored: Directions of the axes of the file.
         *         oblique_deg: Largest angle to the patient's axes in degrees, 0 if straight.
         *         letters: Letters of the sides of an axial picture, and of the two ends.
         */
        GridInfo: {
            /** Shape */
            shape: [
                number,
                number,
                number
            ];
            /** Spacing */
            spacing: [
                number,
                number,
                number
            ];
            /** Origin */
            origin: [
                number,
                number,
                number
            ];
            /** Direction */
            direction: [
                [
                    number,
                    number,
                    number
                ],
                [
                    number,
                    number,
                    number
                ],
                [
                    number,
                    number,
                    number
                ]
            ];
            /** Affine */
            affine: [
                [
                    number,
                    number,
                    number,
                    number
                ],
                [
                    number,
                    number,
                    number,
                    number
                ],
                [
                    number,
                    number,
                    number,
                    number
                ],
                [
                    number,
                    number,
                    number,
                    number
                ]
            ];
            /** Stored */
            stored: string;
            /** Oblique Deg */
            oblique_deg: number;
            /** Letters */
            letters: {
                [key: string]: string;
            };
        };
        /**
         * GrowRequest
         * @description Region growing.
         */
        GrowRequest: {
            /** At */
            at: [
                number,
                number,
                number
            ];
            /** Label */
            label: number;
            /**
             * Phase
             * @enum {string}
             */
            phase: "NC" | "AP" | "VP" | "DP";
            /** Low */
            low: number;
            /** High */
            high: number;
            /**
             * Radius Mm
             * @default 30
             */
            radius_mm?: number;
            /**
             * Volume
             * @default true
             */
            volume?: boolean;
            /** Inside */
            inside?: number[] | null;
        };
        /**
         * History
         * @description What happened to a case, oldest first.
         */
        History: {
            /** Events */
            events: components["schemas"]["HistoryEvent"][];
        };
        /**
         * HistoryEvent
         * @description Something a reader did.
         */
        HistoryEvent: {
            /** Time */
            time: string;
            /** User */
            user: string;
            /** Event */
            event: string;
            /** Ref */
            ref: string | null;
            /** Parent */
            parent: string | null;
            /** Text */
            text: string;
        };
        /**
         * ImageNotice
         * @description Something a reader should know.
         */
        ImageNotice: {
            /** Code */
            code: string;
            /** Message */
            message: string;
        };
        /**
         * InterpolateRequest
         * @description Filling of slices between drawn ones.
         */
        InterpolateRequest: {
            /** At */
            at: [
                number,
                number,
                number
            ];
            /** Label */
            label: number;
            /**
             * Max Gap
             * @default 12
             */
            max_gap?: number;
        };
        /**
         * LabelInfo
         * @description A label, its letter and its colour; ``malignant`` for lesions alone.
         */
        LabelInfo: {
            /** Value */
            value: number;
            /** Name */
            name: string;
            /**
             * Group
             * @enum {string}
             */
            group: "background" | "lesion" | "organ";
            /** Letter */
            letter: string;
            /** Color */
            color: string;
            /** Malignant */
            malignant?: boolean;
        };
        /**
         * LesionListing
         * @description Lesions of a mask by number, sums by type, and organs in ml.
         */
        LesionListing: {
            /** Ref */
            ref: string;
            /** Lesions */
            lesions: components["schemas"]["ListedLesion"][];
            /** Totals */
            totals: {
                [key: string]: components["schemas"]["TypeTotal"];
            };
            /** Organs */
            organs: {
                [key: string]: number;
            };
        };
        /**
         * ListedLesion
         * @description A lesion of the table.
         *
         *     Attributes:
         *         number: Number in the report, where there is one; else the place by size.
         *         diameter_mm: Longest axial diameter.
         *         evidence: What its type rests on.
         */
        ListedLesion: {
            /** Label */
            label: number;
            /** Voxels */
            voxels: number;
            /** Volume Ml */
            volume_ml: number;
            /** Slices */
            slices: [
                number,
                number
            ];
            /** Slice */
            slice: number;
            /** At */
            at: [
                number,
                number,
                number
            ];
            /** Centroid */
            centroid: [
                number,
                number,
                number
            ];
            /** Box */
            box: [
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ]
            ];
            /** First */
            first: number;
            /** Number */
            number: number;
            /** Diameter Mm */
            diameter_mm: number;
            evidence: components["schemas"]["EvidenceRecord"] | null;
        };
        /**
         * MeasureRequest
         * @description A ruler or an HU circle.
         */
        MeasureRequest: {
            /**
             * Kind
             * @enum {string}
             */
            kind: "ruler" | "circle";
            /**
             * Phase
             * @enum {string}
             */
            phase: "NC" | "AP" | "VP" | "DP";
            /** From */
            from?: [
                number,
                number,
                number
            ] | null;
            /** To */
            to?: [
                number,
                number,
                number
            ] | null;
            /** Centre */
            centre?: [
                number,
                number,
                number
            ] | null;
            /** Radius Mm */
            radius_mm?: number | null;
            /**
             * Keep
             * @default true
             */
            keep?: boolean;
        };
        /**
         * MeasurementList
         * @description Measurements that are kept.
         */
        MeasurementList: {
            /** Measurements */
            measurements: components["schemas"]["MeasurementRecord"][];
        };
        /**
         * MeasurementRecord
         * @description A ruler, or a circle with the HU in it; ``id``, ``user`` and ``time`` if it is kept.
         *
         *     Attributes:
         *         kind: Ruler or circle.
         *         phase: Phase it was measured in.
         *         start: First end of a ruler, fractions of voxels; ``from`` in JSON.
         *         to: Second end of a ruler.
         *         centre: Centre of a circle.
         *         radius_mm: Radius of a circle.
         *         mm: Length of a ruler.
         *         mean: Mean HU.
         *         sd: Standard deviation in HU.
         *         min: Smallest HU.
         *         max: Largest HU.
         *         pixels: Pixels in the circle.
         *         area_mm2: Area of these pixels.
         *         id: Name of the measurement.
         *         user: Reader who kept it.
         *         time: Time of keeping.
         */
        MeasurementRecord: {
            /**
             * Kind
             * @enum {string}
             */
            kind: "ruler" | "circle";
            /**
             * Phase
             * @enum {string}
             */
            phase: "NC" | "AP" | "VP" | "DP";
            /** From */
            from?: [
                number,
                number,
                number
            ];
            /** To */
            to?: [
                number,
                number,
                number
            ];
            /** Centre */
            centre?: [
                number,
                number,
                number
            ];
            /** Radius Mm */
            radius_mm?: number;
            /** Mm */
            mm?: number;
            /** Mean */
            mean?: number;
            /** Sd */
            sd?: number;
            /** Min */
            min?: number;
            /** Max */
            max?: number;
            /** Pixels */
            pixels?: number;
            /** Area Mm2 */
            area_mm2?: number;
            /** Id */
            id?: string;
            /** User */
            user?: string;
            /** Time */
            time?: string;
        };
        /**
         * NextCase
         * @description The next case that is not done, None if all are.
         */
        NextCase: {
            /** Id */
            id: string | null;
        };
        /**
         * OpenDraftRequest
         * @description Which draft to open, and what to do with unsaved steps.
         */
        OpenDraftRequest: {
            /**
             * Task
             * @default edit
             * @enum {string}
             */
            task?: "edit" | "review";
            /**
             * Recover
             * @default ask
             * @enum {string}
             */
            recover?: "ask" | "continue" | "discard";
            /**
             * Base
             * @default head
             */
            base?: string;
            /** Old */
            old?: string | null;
            /** New */
            new?: string | null;
        };
        /**
         * PhaseInfo
         * @description A phase: its grid if it is another one, window and tag; or what is wrong with it.
         */
        PhaseInfo: {
            /**
             * Status
             * @enum {string}
             */
            status: "ok" | "missing" | "bad";
            /** Title */
            title: string;
            grid?: components["schemas"]["GridInfo"] | null;
            /** Window */
            window?: [
                number,
                number
            ];
            /** Window Auto */
            window_auto?: boolean;
            /** Etag */
            etag?: string;
            error?: components["schemas"]["Fault"];
        };
        /**
         * RecoveryOffer
         * @description Number of unsaved steps, and the time of the last one.
         */
        RecoveryOffer: {
            /** Steps */
            steps: number;
            /** Time */
            time: string;
        };
        /**
         * RelabelRequest
         * @description Lesions under the points get the label.
         */
        RelabelRequest: {
            /** At */
            at: [
                number,
                number,
                number
            ][];
            /** Label */
            label: number;
        };
        /**
         * RemoveNoteRequest
         * @description A box or a measurement that goes.
         */
        RemoveNoteRequest: {
            /** Id */
            id: string;
        };
        /**
         * ReportFiles
         * @description Names of the report files.
         */
        ReportFiles: {
            /**
             * Status
             * @enum {string}
             */
            status: "ok" | "missing";
            /** Files */
            files: string[];
        };
        /**
         * ReportPart
         * @description Text of one file.
         */
        ReportPart: {
            /** Name */
            name: string;
            /** Text */
            text: string;
        };
        /**
         * ReportTexts
         * @description Reports of a case as plain text.
         */
        ReportTexts: {
            /**
             * Status
             * @enum {string}
             */
            status: "ok" | "missing";
            /** Parts */
            parts: components["schemas"]["ReportPart"][];
            error: components["schemas"]["Fault"] | null;
        };
        /**
         * RestoreRequest
         * @description Which version to bring back.
         */
        RestoreRequest: {
            /** Ref */
            ref: string;
            /**
             * Note
             * @default
             */
            note?: string;
        };
        /**
         * ReviewList
         * @description How far every reader has come with every comparison.
         */
        ReviewList: {
            /** Reviews */
            reviews: components["schemas"]["ReviewRow"][];
        };
        /**
         * ReviewRow
         * @description One reader's comparison: ``done`` of ``of`` differences are judged; ``dirty`` if not all is saved.
         */
        ReviewRow: {
            /** Draft */
            draft: string;
            /** Old */
            old: string;
            /** New */
            new: string;
            /** User */
            user: string;
            /** Done */
            done: number;
            /** Of */
            of: number;
            /** Dirty */
            dirty: boolean;
        };
        /**
         * SaveRequest
         * @description What goes with a saved draft.
         */
        SaveRequest: {
            /**
             * Note
             * @default
             */
            note?: string;
            /**
             * Beside
             * @default false
             */
            beside?: boolean;
            /** State */
            state?: ("new" | "in_progress" | "done") | null;
        };
        /**
         * SavedVersion
         * @description A version that was saved from a draft, and the draft as it is then.
         */
        SavedVersion: {
            /** Ref */
            ref: string;
            /** Parent */
            parent: string;
            /** User */
            user: string;
            /** Time */
            time: string;
            /**
             * What
             * @enum {string}
             */
            what: "edit" | "review" | "import" | "restore" | "upload";
            /** Note */
            note: string;
            /** Beside */
            beside: boolean;
            /** Steps */
            steps: string[];
            /** Voxels Changed */
            voxels_changed: number;
            /** Mask Sha256 */
            mask_sha256: string;
            /** Verdicts */
            verdicts: {
                [key: string]: number;
            };
            /** Source */
            source: string;
            draft: components["schemas"]["DraftState"];
        };
        /**
         * SeedBoxRequest
         * @description A box becomes a lesion.
         */
        SeedBoxRequest: {
            /** Box */
            box: [
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ]
            ];
            /** Label */
            label: number;
            /**
             * Method
             * @default prediction
             * @enum {string}
             */
            method?: "prediction" | "intensity";
            /**
             * From
             * @default prediction
             */
            from?: string;
            /** Phase */
            phase?: ("NC" | "AP" | "VP" | "DP") | null;
            /** Id */
            id?: string | null;
        };
        /**
         * SessionInfo
         * @description What the page needs before it opens a case.
         *
         *     Attributes:
         *         version: Version of this package.
         *         project: Name of the project for people.
         *         user: Reader who started the server.
         *         users: Readers who have worked on the project.
         *         predictions: True if a folder of predictions was given.
         *         labels: Labels with their looks.
         *         tools: Names of the tools of a draft.
         *         windows: Centre and width in HU of the preset windows.
         */
        SessionInfo: {
            /** Version */
            version: string;
            /** Project */
            project: string;
            /** User */
            user: string;
            /** Users */
            users: string[];
            /** Predictions */
            predictions: boolean;
            /** Labels */
            labels: components["schemas"]["LabelInfo"][];
            /** Tools */
            tools: string[];
            /** Windows */
            windows: {
                [key: string]: [
                    number,
                    number
                ];
            };
        };
        /**
         * SideLesion
         * @description A lesion of one side.
         */
        SideLesion: {
            /** Label */
            label: number;
            /** Voxels */
            voxels: number;
            /** Volume Ml */
            volume_ml: number;
        };
        /**
         * SkippedFolder
         * @description A folder that cannot be opened.
         */
        SkippedFolder: {
            /** Name */
            name: string;
            /** Code */
            code: string;
            /** Message */
            message: string;
        };
        /**
         * SourceMask
         * @description A mask that came with the case.
         */
        SourceMask: {
            /** Ref */
            ref: string;
            /**
             * Status
             * @enum {string}
             */
            status: "ok" | "bad";
            error?: components["schemas"]["Fault"];
        };
        /**
         * SplitRequest
         * @description Cut along a line.
         */
        SplitRequest: {
            /** At */
            at: [
                number,
                number,
                number
            ];
            /** Line */
            line: [
                [
                    number,
                    number
                ],
                [
                    number,
                    number
                ]
            ];
            /** Label */
            label: number;
        };
        /**
         * StepAnswer
         * @description Answer to a step: as JSON if the client made it, else as header of the delta that the server made.
         *
         *     Attributes:
         *         name: Name of the step.
         *         kind: Kind of the step.
         *         notes: Notebooks that changed with it.
         *         state: State of the draft.
         *         count: Voxels that changed; those of a delta follow.
         */
        StepAnswer: {
            /** Name */
            name: string;
            /** Kind */
            kind: string;
            /** Notes */
            notes: ("boxes" | "evidence" | "measurements")[];
            state: components["schemas"]["DraftState"];
            /** Count */
            count: number;
        };
        /**
         * TypeTotal
         * @description Sum over the lesions of a type.
         */
        TypeTotal: {
            /** Count */
            count: number;
            /** Volume Ml */
            volume_ml: number;
        };
        /**
         * UnknownSegment
         * @description A segment of a DICOM Segmentation whose label must be given.
         */
        UnknownSegment: {
            /** Number */
            number: number;
            /** Label */
            label: string;
            /** Type */
            type: string;
        };
        /**
         * VerdictRequest
         * @description A judgement on a difference.
         */
        VerdictRequest: {
            /** Difference */
            difference: string;
            /**
             * Verdict
             * @enum {string}
             */
            verdict: "accept" | "keep" | "relabel" | "second_reader" | "edited" | "clear";
            /** Label */
            label?: number | null;
            /** Shape */
            shape?: ("old" | "new") | null;
        };
        /**
         * VersionInfo
         * @description A saved version of the mask.
         *
         *     Attributes:
         *         ref: Name of the version.
         *         parent: Mask it was made from.
         *         user: Reader who saved it.
         *         time: Time of saving.
         *         what: Kind of act that made it.
         *         note: Note of the reader.
         *         beside: True if it lies beside the others and did not become the head.
         *         steps: Names of the steps since the last save.
         *         voxels_changed: Voxels that differ from the parent.
         *         mask_sha256: SHA-256 of the labels in display order.
         *         verdicts: Number of verdicts of each kind.
         *         source: Version that was brought back.
         */
        VersionInfo: {
            /** Ref */
            ref: string;
            /** Parent */
            parent: string;
            /** User */
            user: string;
            /** Time */
            time: string;
            /**
             * What
             * @enum {string}
             */
            what: "edit" | "review" | "import" | "restore" | "upload";
            /** Note */
            note: string;
            /** Beside */
            beside: boolean;
            /** Steps */
            steps: string[];
            /** Voxels Changed */
            voxels_changed: number;
            /** Mask Sha256 */
            mask_sha256: string;
            /** Verdicts */
            verdicts: {
                [key: string]: number;
            };
            /** Source */
            source: string;
        };
        /**
         * VersionList
         * @description Versions, oldest first, and the head.
         */
        VersionList: {
            /** Head */
            head: string;
            /** Versions */
            versions: components["schemas"]["VersionInfo"][];
        };
        /**
         * VersionMask
         * @description A version as a mask that can be shown.
         */
        VersionMask: {
            /** Ref */
            ref: string;
            /** Parent */
            parent: string;
            /** User */
            user: string;
            /** Time */
            time: string;
            /**
             * What
             * @enum {string}
             */
            what: "edit" | "review" | "import" | "restore" | "upload";
            /** Note */
            note: string;
            /** Beside */
            beside: boolean;
            /** Steps */
            steps: string[];
            /** Voxels Changed */
            voxels_changed: number;
            /** Mask Sha256 */
            mask_sha256: string;
            /** Verdicts */
            verdicts: {
                [key: string]: number;
            };
            /** Source */
            source: string;
            /**
             * Status
             * @constant
             */
            status: "ok";
        };
        /**
         * VolumeStatus
         * @description How far decoding has come: slices ``[first, end)`` of all, and why it ended early.
         */
        VolumeStatus: {
            /** Decoded */
            decoded: [
                number,
                number
            ];
            /** Slices */
            slices: number;
            error: components["schemas"]["Fault"] | null;
        };
        /**
         * WorkList
         * @description All cases, in the order of their names.
         *
         *     Attributes:
         *         cases: Lines of the list.
         *         counts: Number of cases by state.
         *         skipped: Folders that look like cases but cannot be opened, and why.
         */
        WorkList: {
            /** Cases */
            cases: components["schemas"]["CaseRow"][];
            /** Counts */
            counts: {
                [key: string]: number;
            };
            /** Skipped */
            skipped: components["schemas"]["SkippedFolder"][];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type BoxList = components['schemas']['BoxList'];
export type BoxRecord = components['schemas']['BoxRecord'];
export type CaseInfo = components['schemas']['CaseInfo'];
export type CaseRow = components['schemas']['CaseRow'];
export type CaseStateRequest = components['schemas']['CaseStateRequest'];
export type ComponentInfo = components['schemas']['ComponentInfo'];
export type CopyRequest = components['schemas']['CopyRequest'];
export type DeleteRequest = components['schemas']['DeleteRequest'];
export type DifferenceList = components['schemas']['DifferenceList'];
export type DifferenceRow = components['schemas']['DifferenceRow'];
export type DifferenceVerdict = components['schemas']['DifferenceVerdict'];
export type DraftState = components['schemas']['DraftState'];
export type DraftStep = components['schemas']['DraftStep'];
export type DrawBoxRequest = components['schemas']['DrawBoxRequest'];
export type ErrorAnswer = components['schemas']['ErrorAnswer'];
export type ErrorDetail = components['schemas']['ErrorDetail'];
export type EvidenceList = components['schemas']['EvidenceList'];
export type EvidenceRecord = components['schemas']['EvidenceRecord'];
export type EvidenceRequest = components['schemas']['EvidenceRequest'];
export type Fault = components['schemas']['Fault'];
export type FillHolesRequest = components['schemas']['FillHolesRequest'];
export type GotoRequest = components['schemas']['GotoRequest'];
export type GridInfo = components['schemas']['GridInfo'];
export type GrowRequest = components['schemas']['GrowRequest'];
export type History = components['schemas']['History'];
export type HistoryEvent = components['schemas']['HistoryEvent'];
export type ImageNotice = components['schemas']['ImageNotice'];
export type InterpolateRequest = components['schemas']['InterpolateRequest'];
export type LabelInfo = components['schemas']['LabelInfo'];
export type LesionListing = components['schemas']['LesionListing'];
export type ListedLesion = components['schemas']['ListedLesion'];
export type MeasureRequest = components['schemas']['MeasureRequest'];
export type MeasurementList = components['schemas']['MeasurementList'];
export type MeasurementRecord = components['schemas']['MeasurementRecord'];
export type NextCase = components['schemas']['NextCase'];
export type OpenDraftRequest = components['schemas']['OpenDraftRequest'];
export type PhaseInfo = components['schemas']['PhaseInfo'];
export type RecoveryOffer = components['schemas']['RecoveryOffer'];
export type RelabelRequest = components['schemas']['RelabelRequest'];
export type RemoveNoteRequest = components['schemas']['RemoveNoteRequest'];
export type ReportFiles = components['schemas']['ReportFiles'];
export type ReportPart = components['schemas']['ReportPart'];
export type ReportTexts = components['schemas']['ReportTexts'];
export type RestoreRequest = components['schemas']['RestoreRequest'];
export type ReviewList = components['schemas']['ReviewList'];
export type ReviewRow = components['schemas']['ReviewRow'];
export type SaveRequest = components['schemas']['SaveRequest'];
export type SavedVersion = components['schemas']['SavedVersion'];
export type SeedBoxRequest = components['schemas']['SeedBoxRequest'];
export type SessionInfo = components['schemas']['SessionInfo'];
export type SideLesion = components['schemas']['SideLesion'];
export type SkippedFolder = components['schemas']['SkippedFolder'];
export type SourceMask = components['schemas']['SourceMask'];
export type SplitRequest = components['schemas']['SplitRequest'];
export type StepAnswer = components['schemas']['StepAnswer'];
export type TypeTotal = components['schemas']['TypeTotal'];
export type UnknownSegment = components['schemas']['UnknownSegment'];
export type VerdictRequest = components['schemas']['VerdictRequest'];
export type VersionInfo = components['schemas']['VersionInfo'];
export type VersionList = components['schemas']['VersionList'];
export type VersionMask = components['schemas']['VersionMask'];
export type VolumeStatus = components['schemas']['VolumeStatus'];
export type WorkList = components['schemas']['WorkList'];
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
