// The OpenAPI description as a page.

const { paths } = await (await fetch("openapi.json")).json();

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function kindOf(schema) {
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map(kindOf))].join(" | ");
  return schema.type === "array" ? `list of ${kindOf(schema.items)}` : schema.type ?? "any";
}

function rows(schema) {
  return Object.entries(schema.properties).map(([name, field]) => {
    const needed = schema.required?.includes(name);
    const standard = field.default === undefined ? "" : JSON.stringify(field.default);
    const cells = [name, kindOf(field), needed ? "required" : standard, field.description ?? ""];
    return element("tr", "", ...cells.map((cell) => element("td", cell)));
  });
}

for (const [path, methods] of Object.entries(paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const section = element("section", "", element("h2", `${method.toUpperCase()} ${path}`));
    section.append(element("p", operation.description ?? ""));
    const schema = operation.requestBody?.content["application/json"]?.schema;
    if (schema) section.append(element("table", "", ...rows(schema)));
    const statuses = Object.entries(operation.responses);
    const list = statuses.map(([status, { description }]) => `${status} ${description}`);
    section.append(element("p", list.join("  ")));
    document.getElementById("routes").append(section);
  }
}
