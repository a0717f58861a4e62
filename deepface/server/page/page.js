// Pictures in, requests out, answers drawn over the pictures. No library, nothing from elsewhere.

const $ = (id) => document.getElementById(id);
const PREFERRED = { detector_backend: "opencv", model_name: "VGG-Face" };
const ACTIONS = ["age", "gender", "emotion", "race"];
let files = [];

function element(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function headers() {
  const token = $("token").value;
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function fillModels() {
  const answer = await fetch("models", { headers: headers() });
  if (!answer.ok) {
    $("status").textContent = answer.status === 401 ? "The server wants a token." : "";
    return;
  }
  const models = await answer.json();
  const lists = {
    detector_backend: [...models.face_detector.map((m) => m.name), "skip"],
    model_name: models.facial_recognition.map((m) => m.name),
  };
  for (const [id, names] of Object.entries(lists)) {
    $(id).replaceChildren(...names.map((name) => element("option", {}, name)));
    $(id).value = names.includes(PREFERRED[id]) ? PREFERRED[id] : names[0];
  }
  $("status").textContent = "";
}

function showFields() {
  const chosen = $("function").value;
  for (const label of document.querySelectorAll("[data-for]")) {
    label.hidden = !label.dataset.for.split(" ").includes(chosen);
  }
  const wanted = chosen === "verify" ? 2 : 1;
  $("run").disabled = files.length < wanted;
}

function choose(list) {
  files = [...list].filter((file) => file.type.startsWith("image/"));
  $("pictures").replaceChildren(...files.map(frameOf));
  $("status").textContent = files.length ? `${files.length} chosen` : "No picture among them";
  showFields();
}

function frameOf(file) {
  const image = element("img", { alt: file.name, src: URL.createObjectURL(file) });
  const frame = element("div", { class: "frame" }, image);
  const told = element("div", { class: "told" });
  return element("section", { class: "picture" }, element("h2", {}, file.name), frame, told);
}

function requestOf(chosen, parts) {
  const form = new FormData();
  for (const [name, file] of Object.entries(parts)) form.append(name, file);
  const names = ["detector_backend", "align", "enforce_detection", "anti_spoofing"];
  for (const label of document.querySelectorAll("[data-for]:not([hidden])")) {
    names.push(label.querySelector("select, input").id);
  }
  for (const name of names) {
    const field = $(name);
    const value = field.type === "checkbox" ? field.checked : field.value;
    if (value !== "") form.append(name, value);
  }
  if (chosen === "extract_faces") form.append("faces", "none");
  if (chosen === "analyze") form.append("actions", ACTIONS.join(","));
  return fetch(chosen, { method: "POST", body: form, headers: headers() });
}

async function ask(chosen, parts, sections) {
  try {
    const answer = await requestOf(chosen, parts);
    const body = await answer.json();
    if (answer.ok) show(chosen, body, sections);
    else tell(sections, body, body.error ?? body.exception ?? body.message);
  } catch (error) {
    tell(sections, {}, `No answer: ${error.message}`);
  }
}

function tell(sections, body, problem, lines = []) {
  for (const section of sections) {
    const list = element("ul", {}, ...lines.map((line) => element("li", {}, line)));
    const shown = problem ? element("p", { class: "error" }, problem) : list;
    const json = element("pre", { tabindex: 0 }, JSON.stringify(body, shorten, 1));
    section.querySelector(".told").replaceChildren(shown, json);
  }
}

// A vector would fill the page; its first numbers tell it is there.
function shorten(key, value) {
  return key === "embedding" && value.length > 6
    ? `[${value.slice(0, 4).join(", ")}, ... ${value.length} numbers]`
    : value;
}

function show(chosen, body, sections) {
  const lines = [];
  if (chosen === "verify") {
    const said = body.verified ? "The same person" : "Different persons";
    lines.push(`${said}: distance ${body.distance}, threshold ${body.threshold}`);
    lines.push(`Confidence ${body.confidence} %`);
    [body.facial_areas.img1, body.facial_areas.img2].forEach((area, i) =>
      draw(sections[i], [[area, body.verified ? "same" : "different"]]));
  } else if (chosen === "register") {
    lines.push(`${body.inserted} stored`);
  } else if (chosen === "search") {
    draw(sections[0], body.results.filter((rows) => rows.length).map(found));
    for (const [number, rows] of body.results.entries()) {
      if (!rows.length) lines.push(`Face ${number + 1}: nobody known`);
      for (const row of rows.slice(0, 5)) {
        lines.push(`${row.img_name}: distance ${row.distance.toFixed(3)}, ${row.confidence} %`);
      }
    }
  } else {
    const faces = body.results.map((face) => [face.facial_area ?? face.region, described(face)]);
    draw(sections[0], faces);
    lines.push(`${faces.length} face${faces.length === 1 ? "" : "s"}`);
    lines.push(...faces.map(([, label]) => label));
  }
  tell(sections, body, null, lines);
}

function found(rows) {
  const { target_x: x, target_y: y, target_w: w, target_h: h, img_name: name } = rows[0];
  return [{ x, y, w, h }, name];
}

function described(face) {
  const parts = [face.dominant_gender, face.age, face.dominant_emotion, face.dominant_race];
  const confidence = face.face_confidence ?? face.confidence;
  if (face.is_real === false) parts.push("not real");
  if (parts.every((part) => part === undefined)) parts.push(confidence);
  return parts.filter((part) => part !== undefined).join(", ");
}

function draw(section, faces) {
  const frame = section.querySelector(".frame");
  const image = frame.querySelector("img");
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const unit = Math.max(width, height) / 200;
  const svg = element("svg:svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": true });
  for (const [area, label] of faces) {
    const { x, y, w, h } = area;
    if (x === null) continue;
    svg.append(element("svg:rect", { x, y, width: w, height: h, "stroke-width": unit }));
    for (const point of ["left_eye", "right_eye", "nose", "mouth_left", "mouth_right"]) {
      if (!area[point]) continue;
      const [cx, cy] = area[point];
      svg.append(element("svg:circle", { cx, cy, r: unit * 1.2 }));
    }
    const size = Math.max(unit * 6, Math.min(h / 5, unit * 10));
    const above = y > size * 1.2 ? y - size * 0.3 : y + h + size;
    const attributes = { x, y: above, "font-size": size, "stroke-width": size / 5 };
    svg.append(element("svg:text", attributes, label));
  }
  frame.querySelector("svg")?.remove();
  frame.append(svg);
}

async function run(event) {
  event.preventDefault();
  const chosen = $("function").value;
  const sections = [...document.querySelectorAll(".picture")];
  $("run").disabled = true;
  $("status").textContent = "Working ...";
  const start = performance.now();
  await Promise.all([...document.querySelectorAll(".picture img")].map((image) => image.decode().catch(() => {})));
  if (chosen === "verify") {
    await ask(chosen, { img1: files[0], img2: files[1] }, sections.slice(0, 2));
  } else {
    // All at once: the server puts them into one batch.
    await Promise.all(files.map((file, i) => ask(chosen, { img: file }, [sections[i]])));
  }
  $("status").textContent = `Done in ${Math.round(performance.now() - start)} ms`;
  showFields();
}

$("form").addEventListener("submit", run);
$("function").addEventListener("change", showFields);
$("token").addEventListener("change", fillModels);
$("files").addEventListener("change", () => choose($("files").files));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") choose(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) choose(event.clipboardData.files);
});
showFields();
fillModels();
