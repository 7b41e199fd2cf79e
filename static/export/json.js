/** The service's answer, whole. */

export const title = "JSON";
export const extension = "json";
export const mime = "application/json";
export const whole = true; // of the whole result: no picture to choose

export const make = ({ answer }) => `${JSON.stringify(answer, null, 2)}\n`;
