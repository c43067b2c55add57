// A block as HTML that is safe to put into the page.
import DOMPurify from "dompurify";
import type {Block} from "./blocks";
import {tokensToHtml} from "./renderer";

const POLICY = {
    USE_PROFILES: {html: true},
    FORBID_TAGS: ["style", "form", "input", "button", "textarea", "select", "img", "video", "audio", "picture", "source", "iframe"],
    FORBID_ATTR: ["style", "id", "name"],
    ADD_ATTR: ["target"],
};

export const blockHtml = (block: Block): string => DOMPurify.sanitize(tokensToHtml([block.token]), POLICY);
